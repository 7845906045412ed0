{{/*
The files of the daemons. What has to agree between nginx, the daemons and the pod (sockets, ports, paths) is set here
and cannot be overridden; everything else is passed through from the values as it is written there.
*/}}

{{/* Whether pages for browsers are made; `off` in YAML may arrive as false. */}}
{{- define "gitward.web" -}}
{{- if has .web (list "gitweb") -}}gitweb{{- end -}}
{{- end -}}

{{/* Text stays as it is, with its comments and its order; a map is written out. */}}
{{- define "gitward.document" -}}
{{- if kindIs "string" . -}}{{ . }}{{- else -}}{{ toYaml . }}{{- end -}}
{{- end -}}

{{- define "gitward.authd.document" -}}
{{- $own := dict
  "version" 1
  "listen" (ternary (printf "%s:9180" .Values.listenAddress) "unix:/run/gitward-authd/authd.sock" (eq .Values.mode "auth-only"))
  "admin" (printf "%s:9181" .Values.listenAddress)
  "policy_file" "policy.yaml"
  "signing_key_file" "/run/gitward-key/signing.key"
  "directories" (include "gitward.authd.directories" . | fromYamlArray)
-}}
{{- if eq .Values.mode "auth-only" -}}
{{- $_ := set $own "endpoints" (list (get (dict "nginx" "nginx" "ingress-nginx" "ingress-nginx" "gateway-fabric" "gateway-fabric" "traefik" "forward" "envoy-gateway" "envoy") .Values.front.kind)) -}}
{{- with .Values.trustedProxies -}}{{- $_ := set $own "trusted_proxies" . -}}{{- end -}}
{{- end -}}
{{- if .Values.policy.shadow -}}{{- $_ := set $own "shadow_policy_file" "shadow-policy.yaml" -}}{{- end -}}
{{- mergeOverwrite (deepCopy .Values.authd.config) $own | toYaml -}}
{{- end -}}

{{/* Files first: whom a file knows can log in while the LDAP servers are down. */}}
{{- define "gitward.authd.directories" -}}
{{- $directories := list -}}
{{- if or .Values.users.text .Values.users.existingSecret -}}
{{- $directories = append $directories (dict "type" "users" "file" "users.yaml") -}}
{{- end -}}
{{- if .Values.ldap.enabled -}}
{{- $ldap := mergeOverwrite (deepCopy .Values.ldap.config) (dict "type" "ldap") -}}
{{- if .Values.ldap.bindPassword.existingSecret -}}
{{- $_ := set $ldap "bind_password_file" "/etc/gitward/ldap/password" -}}
{{- end -}}
{{- $tls := $ldap.tls | default dict -}}
{{- if or .Values.ldap.ca.existingConfigMap .Values.ldap.ca.existingSecret -}}
{{- $_ := set $tls "ca_file" "/etc/gitward/ldap/ca.pem" -}}
{{- end -}}
{{- if .Values.ldap.clientCertificate.existingSecret -}}
{{- $_ := set $tls "certificate_file" "/etc/gitward/ldap/tls.crt" -}}
{{- $_ := set $tls "key_file" "/etc/gitward/ldap/tls.key" -}}
{{- end -}}
{{- if $tls -}}{{- $_ := set $ldap "tls" $tls -}}{{- end -}}
{{- $directories = append $directories $ldap -}}
{{- end -}}
{{- concat $directories .Values.authd.extraDirectories | toYaml -}}
{{- end -}}

{{/* A request may take as long as a pod that is told to stop waits for it, so that a rollout never cuts one off. */}}
{{- define "gitward.runner.document" -}}
{{- $own := dict
  "version" 1
  "listen" (ternary (printf "%s:9183" .Values.listenAddress) "unix:/run/gitward/backend-runner.sock" (eq .Values.mode "git-only"))
  "admin" (printf "%s:9182" .Values.listenAddress)
  "policy_file" "policy.yaml"
  "signing_key_file" "/run/gitward-key/signing.key"
  "repositories" "/srv/git"
-}}
{{- $_ := set $own "cache" (mergeOverwrite (dict "directory" "/var/cache/gitward") (.Values.runner.config.cache | default dict)) -}}
{{- $seconds := printf "%ds" (int .Values.stop.drainSeconds) -}}
{{- $limits := mergeOverwrite (dict "request" $seconds) (.Values.runner.config.limits | default dict) (dict "drain" $seconds) -}}
{{- $_ := set $own "limits" $limits -}}
{{- if .Values.runner.externalHooks -}}
{{- $_ := set $own "hooks" (mergeOverwrite (deepCopy (.Values.runner.config.hooks | default dict)) (dict "external" "/etc/gitward-hooks")) -}}
{{- end -}}
{{- if .Values.audit.enabled -}}{{- $_ := set $own "audit_log" .Values.audit.path -}}{{- end -}}
{{- mergeOverwrite (deepCopy .Values.runner.config) $own | toYaml -}}
{{- end -}}

{{/* Sources of the projected volumes: one directory for each daemon, replaced as a whole, so that it reloads once. */}}
{{- define "gitward.policy.source" -}}
- configMap:
    name: {{ .Values.policy.existingConfigMap | default (printf "%s-policy" (include "gitward.fullname" .)) }}
    items:
      - { key: policy.yaml, path: policy.yaml }
      {{- if .Values.policy.shadow }}
      - { key: shadow-policy.yaml, path: shadow-policy.yaml }
      {{- end }}
{{- end -}}

{{- define "gitward.authd.sources" -}}
- configMap:
    name: {{ include "gitward.fullname" . }}-authd
    items:
      - { key: authd.yaml, path: authd.yaml }
{{ include "gitward.policy.source" . }}
{{- if or .Values.users.text .Values.users.existingSecret }}
- secret:
    name: {{ .Values.users.existingSecret | default (printf "%s-users" (include "gitward.fullname" .)) }}
    items:
      - { key: users.yaml, path: users.yaml }
{{- end }}
{{- if .Values.ldap.enabled }}
{{- with .Values.ldap.bindPassword }}
{{- if .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items:
      - { key: {{ .key }}, path: ldap/password }
{{- end }}
{{- end }}
{{- with .Values.ldap.ca }}
{{- if or .existingConfigMap .existingSecret }}
- {{ ternary "configMap" "secret" (ne .existingConfigMap "") }}:
    name: {{ .existingConfigMap | default .existingSecret }}
    items:
      - { key: {{ .key }}, path: ldap/ca.pem }
{{- end }}
{{- end }}
{{- with .Values.ldap.clientCertificate.existingSecret }}
- secret:
    name: {{ . }}
    items:
      - { key: tls.crt, path: ldap/tls.crt }
      - { key: tls.key, path: ldap/tls.key }
{{- end }}
{{- end }}
{{- with .Values.authd.extraSources }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "gitward.runner.sources" -}}
- configMap:
    name: {{ include "gitward.fullname" . }}-runner
    items:
      - { key: backend-runner.yaml, path: backend-runner.yaml }
{{ include "gitward.policy.source" . }}
{{- with .Values.runner.extraSources }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "gitward.signingKeySecret" -}}
{{- .Values.signingKey.existingSecret | default (ternary (printf "%s-signing-key" (include "gitward.fullname" .)) "" .Values.signingKey.create) -}}
{{- end -}}
