{{/* The three containers. Each is given the whole root; where it stands in the pod is decided in _pod.tpl. */}}

{{- define "gitward.container.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* {root, name, settings, image}: what does not differ between containers. */}}
{{- define "gitward.container.common" -}}
image: {{ include "gitward.image" (dict "root" .root "image" .image "variant" (ternary "-shell" "" (dig "shell" false .image))) }}
imagePullPolicy: {{ .root.Values.images.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- include "gitward.container.security" .root | nindent 2 }}
{{- with .settings.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "gitward.container.env" -}}
env:
  - { name: GITWARD_LOG_FORMAT, value: json }
  - { name: GITWARD_LOG, value: {{ .root.Values.logLevel | quote }} }
  {{- with .settings.extraEnv }}
  {{- tpl (toYaml .) $.root | nindent 2 }}
  {{- end }}
{{- end -}}

{{/*
{port, sidecar}: a sidecar's startup probe holds back what comes after it, so nginx never runs without its daemons. Ready
means that a configuration is loaded; a directory that is out does not make authd unready, because whoever is remembered
can still be served.
*/}}
{{- define "gitward.container.probes" -}}
startupProbe:
  httpGet: { path: /readyz, port: {{ .port }} }
  periodSeconds: 1
  failureThreshold: 60
readinessProbe:
  httpGet: { path: /readyz, port: {{ .port }} }
  periodSeconds: 5
  timeoutSeconds: 3
livenessProbe:
  httpGet: { path: /healthz, port: {{ .port }} }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}

{{- define "gitward.container.authd" -}}
name: authd
{{ include "gitward.container.common" (dict "root" . "settings" .Values.authd "image" .Values.images.authd) }}
command: [/usr/bin/authd, serve, --config, /etc/gitward/authd.yaml]
{{ include "gitward.container.env" (dict "root" . "settings" .Values.authd) }}
ports:
  {{- if eq .Values.mode "auth-only" }}
  - { name: http, containerPort: 9180 }
  {{- end }}
  - { name: authd-admin, containerPort: 9181 }
{{ include "gitward.container.probes" (dict "port" "authd-admin") }}
volumeMounts:
  - { name: authd-config, mountPath: /etc/gitward, readOnly: true }
  {{- if eq .Values.mode "all-in-one" }}
  - { name: authd-socket, mountPath: /run/gitward-authd }
  {{- end }}
  {{- include "gitward.container.keyMount" . | nindent 2 }}
  {{- with .Values.authd.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "gitward.container.runner" -}}
name: backend-runner
{{ include "gitward.container.common" (dict "root" . "settings" .Values.runner "image" .Values.images.backendRunner) }}
command: [/usr/bin/backend-runner, serve, --config, /etc/gitward/backend-runner.yaml]
{{ include "gitward.container.env" (dict "root" . "settings" .Values.runner) }}
ports:
  {{- if eq .Values.mode "git-only" }}
  - { name: http, containerPort: 9183 }
  {{- end }}
  - { name: runner-admin, containerPort: 9182 }
{{ include "gitward.container.probes" (dict "port" "runner-admin") }}
volumeMounts:
  - { name: runner-config, mountPath: /etc/gitward, readOnly: true }
  - { name: repositories, mountPath: /srv/git }
  - { name: cache, mountPath: /var/cache/gitward }
  - { name: scratch, mountPath: /tmp }
  {{- if and .Values.audit.enabled (hasPrefix "/var/log/gitward/" .Values.audit.path) }}
  - { name: audit, mountPath: /var/log/gitward }
  {{- end }}
  {{- range $kind, $map := .Values.runner.externalHooks }}
  - { name: hooks-{{ $kind }}, mountPath: /etc/gitward-hooks/{{ $kind }}.d, readOnly: true }
  {{- end }}
  {{- if eq .Values.mode "all-in-one" }}
  - { name: runner-socket, mountPath: /run/gitward }
  {{- end }}
  {{- include "gitward.container.keyMount" . | nindent 2 }}
  {{- with .Values.runner.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/*
The key is in a volume of its own: nginx, which reads what strangers send, has the sockets and not the key. Each socket is, too: a
hook must neither reach authd, which would be a place to try passwords at, nor put a socket of its own in its place.
*/}}
{{- define "gitward.container.keyMount" -}}
- { name: signing-key, mountPath: /run/gitward-key{{ if include "gitward.signingKeySecret" . }}, readOnly: true{{ end }} }
{{- end -}}

{{/* {root, settings, component}: nginx of a server or of the router. */}}
{{- define "gitward.container.nginx" -}}
name: nginx
{{ include "gitward.container.common" (dict "root" .root "settings" .settings "image" .root.Values.images.nginx) }}
command: [/usr/sbin/nginx, -e, stderr, -g, daemon off;]
{{- with .settings.extraEnv }}
env:
  {{- tpl (toYaml .) $.root | nindent 2 }}
{{- end }}
ports:
  - { name: http, containerPort: {{ ternary 8443 8080 (ne (include "gitward.tlsSecret" .) "") }} }
  - { name: status, containerPort: 8081 }
startupProbe:
  httpGet: { path: /healthz, port: status }
  periodSeconds: 1
  failureThreshold: 30
readinessProbe:
  httpGet: { path: /healthz, port: status }
  periodSeconds: 5
livenessProbe:
  httpGet: { path: /healthz, port: status }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- include "gitward.container.preStop" .root }}
volumeMounts:
  - { name: nginx-config, mountPath: /etc/nginx, readOnly: true }
  - { name: nginx-temp, mountPath: /var/lib/nginx }
  {{- if and (eq .component "server") .root.Values.nginx.sendFiles }}
  - { name: repositories, mountPath: /srv/git, readOnly: true }
  - { name: cache, mountPath: /var/cache/gitward, readOnly: true }
  {{- end }}
  {{- if eq .component "server" }}
  - { name: authd-socket, mountPath: /run/gitward-authd, readOnly: true }
  - { name: runner-socket, mountPath: /run/gitward, readOnly: true }
  {{- end }}
  {{- if include "gitward.tlsSecret" . }}
  - { name: tls, mountPath: /etc/nginx-tls, readOnly: true }
  {{- end }}
  {{- with .settings.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/*
Connections still arrive for a moment after a pod was told to stop, until everybody knows that it is no endpoint. So the
container in front waits before it is told. Kubernetes can wait by itself since 1.30; there is no shell to do it before.
*/}}
{{- define "gitward.container.preStop" -}}
{{- if and (gt (int .Values.stop.delaySeconds) 0) (semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version) }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ int .Values.stop.delaySeconds }}
{{- end }}
{{- end -}}
