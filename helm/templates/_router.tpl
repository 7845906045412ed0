{{/* The router's nginx.conf: files/router/nginx.conf with the shards written in. */}}

{{/*
One Service for each shard: its address stays when the pod moves, and nginx looks names up at its start only. max_fails=0:
a shard that is down is an error to show, not a reason to ask another one.
*/}}
{{- define "gitward.router.upstreams" -}}
{{- $name := include "gitward.fullname" . -}}
upstream gitward_shards {
    hash $gitward_repository consistent;
{{- range until (int .Values.shards.count) }}
    server {{ $name }}-shard-{{ . }}:8080 max_fails=0;
{{- end }}
    keepalive 32;
    keepalive_timeout 30s;
}
{{- range until (int .Values.shards.count) }}
upstream gitward_shard_{{ . }} {
    server {{ $name }}-shard-{{ . }}:8080 max_fails=0;
    keepalive 32;
    keepalive_timeout 30s;
}
{{- end }}
map $gitward_repository $gitward_shard {
    default gitward_shards;
{{- range $repository, $shard := .Values.shards.pinned }}
    {{ $repository | quote }} gitward_shard_{{ int $shard }};
{{- end }}
}
{{- end -}}

{{- define "gitward.router.files" -}}
{{- $ports := list (ternary "8443 ssl" "8080" (ne .Values.tls.existingSecret "")) -}}
{{- if contains ":" .Values.listenAddress -}}{{- $ports = append $ports (printf "[::]:%s" (first $ports)) -}}{{- end -}}
{{- $listen := list -}}
{{- range $ports -}}{{- $listen = append $listen (printf "        listen %s;" .) -}}{{- end -}}
{{- if .Values.tls.existingSecret -}}
{{- $listen = concat $listen (regexFindAll "(?m)^    ssl_[a-z_]+ +[^;]+;" (include "gitward.nginx.tls" .) -1) -}}
{{- end -}}
nginx.conf: |
  {{- include "gitward.nginx.replaced" (dict "text" (.Files.Get "files/router/nginx.conf") "pairs" (list
    (list "__WORKERS__" (int .Values.nginx.workers | toString))
    (list "__UPSTREAMS__" (include "gitward.router.upstreams" . | indent 4))
    (list "__LISTEN__" (join "\n" $listen))
  )) | nindent 2 }}
pod-http.conf: |
  {{- include "gitward.nginx.podHttp" (dict "root" . "component" "router") | nindent 2 }}
{{- end -}}
