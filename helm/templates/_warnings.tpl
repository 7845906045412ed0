{{/* What works and is still worth a second thought; NOTES.txt shows it after every install and upgrade. */}}

{{- define "gitward.warnings" -}}
{{- $v := .Values -}}
{{- $warnings := list -}}
{{- if not (or $v.policy.text $v.policy.existingConfigMap) -}}
{{- $none := ternary "There is no policy, so no rule about branches holds: set policy.text to what the authd in front has." "There is no policy, so nobody may do anything: set policy.text." (eq $v.mode "git-only") -}}
{{- $warnings = append $warnings $none -}}
{{- end -}}
{{- if and (ne $v.mode "git-only") (not (or $v.users.text $v.users.existingSecret $v.ldap.enabled $v.authd.extraDirectories)) -}}
{{- $warnings = append $warnings "There is no directory, so nobody can log in: set users.text or ldap." -}}
{{- end -}}
{{- if and (ne $v.mode "auth-only") (not $v.persistence.enabled) -}}
{{- $warnings = append $warnings "persistence.enabled is false: the repositories are gone with the pod." -}}
{{- end -}}
{{- if and (eq $v.mode "all-in-one") (or $v.ingress.enabled $v.httpRoute.enabled) (not $v.trustedProxies) -}}
{{- $warnings = append $warnings "trustedProxies is empty: all clients seem to have the proxy's address, and failed logins of one count against all." -}}
{{- end -}}
{{- if and $v.ingress.enabled (not $v.ingress.tls) (not $v.tls.existingSecret) -}}
{{- $warnings = append $warnings "The Ingress has no TLS: passwords travel in the clear." -}}
{{- end -}}
{{- if and (ne $v.service.type "ClusterIP") (not $v.tls.existingSecret) -}}
{{- $warnings = append $warnings (printf "The Service is a %s without tls.existingSecret: passwords travel in the clear unless something before it speaks TLS." $v.service.type) -}}
{{- end -}}
{{- if not $v.networkPolicy.enabled -}}
{{- $warnings = append $warnings (ternary "networkPolicy.enabled is false: whoever reaches a shard can pose as any client address." "networkPolicy.enabled is false: every pod of the cluster reaches the daemons' ports." (gt (int $v.shards.count) 0)) -}}
{{- end -}}
{{- if and (eq $v.mode "auth-only") (not $v.networkPolicy.from) $v.networkPolicy.enabled -}}
{{- $warnings = append $warnings "Only pods of this namespace may ask authd: name your proxy in networkPolicy.from." -}}
{{- end -}}
{{- if $v.signingKey.create -}}
{{- $warnings = append $warnings "signingKey.create makes another key wherever a render cannot see the cluster (helm template, GitOps): use signingKey.existingSecret there." -}}
{{- end -}}
{{- if and $v.audit.enabled (hasPrefix "/var/log/gitward/" $v.audit.path) (not $v.audit.existingClaim) -}}
{{- $warnings = append $warnings "audit.existingClaim is empty: audit records are gone with the pod." -}}
{{- end -}}
{{- if and (gt (int $v.stop.delaySeconds) 0) (not (semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version)) -}}
{{- $warnings = append $warnings "Kubernetes before 1.30 cannot wait before it stops a pod: a few requests may fail during a rollout." -}}
{{- end -}}
{{- if $v.ldap.config.allow_plaintext -}}
{{- $warnings = append $warnings "ldap.config.allow_plaintext sends passwords in the clear to the LDAP servers." -}}
{{- end -}}
{{- if and $v.runner.externalHooks (not $v.images.backendRunner.shell) -}}
{{- $warnings = append $warnings "runner.externalHooks without images.backendRunner.shell: hooks that are scripts cannot run and refuse every push." -}}
{{- end -}}
{{- range $warnings }}
WARNING: {{ . }}
{{- end -}}
{{- end -}}
