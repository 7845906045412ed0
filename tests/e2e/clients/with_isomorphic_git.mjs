// One operation with isomorphic-git: with_isomorphic_git.mjs OPERATION URL DIRECTORY USER PASSWORD.
// NODE_PATH names the directory that has the package, which is not beside this file.
import fs from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(process.env.NODE_PATH + '/')
const git = require('isomorphic-git')
const http = require('isomorphic-git/http/node')

const [operation, url, dir, username, password] = process.argv.slice(2)
const common = {
  fs,
  http,
  dir,
  onAuth: () => ({ username, password }),
  onMessage: (text) => process.stderr.write(text),
}

const run = {
  clone: () => git.clone({ ...common, url }),
  shallow: () => git.clone({ ...common, url, depth: 1, singleBranch: true }),
  fetch: () => git.fetch({ ...common, remote: 'origin' }),
}
const push = () => git.push({ ...common, remote: 'origin', ref: operation, remoteRef: `refs/heads/${operation}` })

try {
  await (run[operation] ?? push)()
} catch (error) {
  console.error(`${error.code}: ${error.message}`, JSON.stringify(error.data ?? {}))
  process.exit(1)
}
