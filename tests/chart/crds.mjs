// Reads a JSON list of custom resources and prints what their schemas say against each, as a JSON list of strings or null.
// Kinds it has no schema for are an answer too, so that none passes unseen.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const modules = process.argv[2];
const packages = {
  "gateway.envoyproxy.io": "@kubernetes-models/envoy-gateway",
  "gateway.networking.k8s.io": "@kubernetes-models/gateway-api",
  "monitoring.coreos.com": "@kubernetes-models/prometheus-operator",
  "traefik.io": "@kubernetes-models/traefik",
};

async function complaint(resource) {
  const [group, version] = resource.apiVersion.split("/");
  if (!packages[group]) return `no schema for ${resource.apiVersion} ${resource.kind}`;
  const file = `${modules}/${packages[group]}/${group}/${version}/${resource.kind}.js`;
  const Kind = (await import(pathToFileURL(file)))[resource.kind];
  try {
    new Kind(resource).validate();
    return null;
  } catch (error) {
    return error.message;
  }
}

const resources = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(await Promise.all(resources.map(complaint))));
