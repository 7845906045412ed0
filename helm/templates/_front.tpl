{{/*
How proxies other than the pod's nginx are told to ask authd before they hand over to a backend-runner, for mode git-only. The
samples in config/proxies/ say why each line is there.
*/}}

{{/* Annotations of the Ingress. */}}
{{- define "gitward.front.annotations" -}}
{{- $name := include "gitward.fullname" . -}}
{{- if eq .Values.front.kind "ingress-nginx" -}}
nginx.ingress.kubernetes.io/auth-url: http://{{ .Values.front.authd.service }}.{{ .Release.Namespace }}.svc.{{ .Values.front.clusterDomain }}:{{ int .Values.front.authd.port }}/auth/ingress-nginx
nginx.ingress.kubernetes.io/auth-response-headers: X-Gitward-Decision
nginx.ingress.kubernetes.io/proxy-buffer-size: 32k
{{- else if eq .Values.front.kind "traefik" -}}
traefik.ingress.kubernetes.io/router.middlewares: {{ printf "%s-%s-question@kubernetescrd,%s-%s-password@kubernetescrd" .Release.Namespace $name .Release.Namespace $name }}
{{- end -}}
{{- end -}}

{{/* Filters of the rule of the HTTPRoute. */}}
{{- define "gitward.front.filters" -}}
{{- if eq .Values.front.kind "gateway-fabric" -}}
- type: ExternalAuth
  externalAuth:
    protocol: HTTP
    backendRef: { name: {{ .Values.front.authd.service }}, port: {{ int .Values.front.authd.port }} }
    http:
      path: /auth/gateway-fabric
      allowedResponseHeaders: [X-Gitward-Decision]
{{- end -}}
{{- end -}}
