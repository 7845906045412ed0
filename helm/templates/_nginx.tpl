{{/*
nginx's files: the ones Gitward ships, adapted to a pod. Those that security rests on, gitward-*.conf, are used as they are but
for two lines: authd's socket has a directory of its own, and unless nginx.sendFiles is set, nginx has no volume with the
repositories and must not offer to send their files. Of nginx.conf and tls.conf exactly the strings are replaced that they say
may be.
*/}}

{{/* {text, pairs: [[old, new], ...]}. A string that is not there would be a setting that silently does not hold. */}}
{{- define "gitward.nginx.replaced" -}}
{{- $text := .text -}}
{{- range .pairs -}}
{{- if not (contains (first .) $text) -}}{{- fail (printf "files/nginx: %q is not there to be replaced" (first .)) -}}{{- end -}}
{{- $text = replace (first .) (last .) $text -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{- define "gitward.nginx.files" -}}
nginx.conf: |
  {{- include "gitward.nginx.main" . | nindent 2 }}
{{- range $path, $_ := .Files.Glob "files/nginx/gitward-*.conf" }}
{{ base $path }}: |
  {{- if and (eq (base $path) "gitward-git.conf") (not $.Values.nginx.sendFiles) }}
  {{- include "gitward.nginx.replaced" (dict "text" ($.Files.Get $path) "pairs" (list (list "proxy_set_header X-Gitward-Accel    yes;" ""))) | nindent 2 }}
  {{- else if eq (base $path) "gitward-http.conf" }}
  {{- include "gitward.nginx.replaced" (dict "text" ($.Files.Get $path) "pairs" (list (list "unix:/run/gitward/authd.sock" "unix:/run/gitward-authd/authd.sock"))) | nindent 2 }}
  {{- else }}
  {{- $.Files.Get $path | nindent 2 }}
  {{- end }}
{{- end }}
pod-http.conf: |
  {{- include "gitward.nginx.podHttp" (dict "root" . "component" "server") | nindent 2 }}
{{- if include "gitward.tlsSecret" (dict "root" . "component" "server") }}
tls.conf: |
  {{- include "gitward.nginx.tls" . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* {root, extra pairs}: what every nginx.conf of a pod has in common. */}}
{{- define "gitward.nginx.main" -}}
{{- $listen := "listen 8080;" -}}
{{- if contains ":" .Values.listenAddress -}}{{- $listen = "listen 8080; listen [::]:8080;" -}}{{- end -}}
{{- $pairs := list
  (list "user www-data;                               # member of the group that owns /run/gitward/\n" "")
  (list "worker_processes auto;" (printf "worker_processes %d;" (int .Values.nginx.workers)))
  (list "pid /run/nginx.pid;" "pid /var/lib/nginx/nginx.pid;")
  (list "error_log /var/log/nginx/error.log warn;" "error_log stderr warn;")
  (list "access_log /var/log/nginx/gitward.log gitward;" "access_log /dev/stdout gitward;\n    include pod-http.conf;")
  (list "listen 80;" $listen)
-}}
{{- if include "gitward.tlsSecret" (dict "root" . "component" "server") -}}
{{- $pairs = append $pairs (list "#include tls.conf;" "include tls.conf;") -}}
{{- $pairs = append $pairs (list (include "gitward.nginx.plainServer" $listen) "") -}}
{{- end -}}
{{- include "gitward.nginx.replaced" (dict "text" (.Files.Get "files/nginx/nginx.conf") "pairs" $pairs) -}}
{{- end -}}

{{/* With TLS nothing may answer in the clear, so the plain server of nginx.conf goes. */}}
{{- define "gitward.nginx.plainServer" }}    server {
        {{ . }}
        server_name _;

        include gitward-server.conf;

        location / {
            return 404;
        }
    }
{{ end -}}

{{- define "gitward.nginx.tls" -}}
{{- include "gitward.nginx.replaced" (dict "text" (.Files.Get "files/nginx/tls.conf") "pairs" (list
  (list "listen 443 ssl;\n    listen [::]:443 ssl;" (ternary "listen 8443 ssl;\n    listen [::]:8443 ssl;" "listen 8443 ssl;" (contains ":" .Values.listenAddress)))
  (list "server_name git.example.org;" "server_name _;")
  (list "/etc/nginx/tls/git.example.org.pem" "$gitward_tls/tls.crt")
  (list "/etc/nginx/tls/git.example.org.key" "$gitward_tls/tls.key")
)) -}}
{{- end -}}

{{/* {root, component}: what only a pod needs at http level: probes, whom to believe about addresses, the certificate. */}}
{{- define "gitward.nginx.podHttp" -}}
{{- $values := .root.Values -}}
server {
    listen {{ ternary "[::]:" "" (contains ":" $values.listenAddress) }}8081;
    access_log off;
    location = /healthz {
        default_type text/plain;
        return 200 "ok\n";
    }
    location / {
        return 404;
    }
}
{{- if and $values.shards.count (eq .component "server") }}

# Only the router reaches a shard (NetworkPolicy), and it says who the client is.
real_ip_header X-Gitward-Client;
set_real_ip_from 0.0.0.0/0;
set_real_ip_from ::/0;

# For the router's log and its /_shard/; it tells no client.
add_header X-Gitward-Shard $hostname always;
{{- else if $values.trustedProxies }}

# Without this every client has the address of the proxy in front, and one of them can use up the failures of all.
real_ip_header X-Forwarded-For;
real_ip_recursive on;
{{- range $values.trustedProxies }}
set_real_ip_from {{ . }};
{{- end }}
{{- end }}
{{- if include "gitward.tlsSecret" . }}

# As a variable on purpose: the files are then opened for each handshake, so a renewed certificate needs no restart.
map "" $gitward_tls {
    default /etc/nginx-tls;
}
{{- end }}
{{- end -}}

{{/* {root, component}: clients' TLS ends where they come in. */}}
{{- define "gitward.tlsSecret" -}}
{{- if eq .component (ternary "router" "server" (gt (int .root.Values.shards.count) 0)) -}}{{ .root.Values.tls.existingSecret }}{{- end -}}
{{- end -}}
