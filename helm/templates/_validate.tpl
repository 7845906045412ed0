{{/*
Combinations that cannot work, or would lose data. values.schema.json judges single values; what it cannot see, two values
that contradict each other, is refused here with a word about what to do instead.
*/}}

{{- define "gitward.validate" -}}
{{- $v := .Values -}}
{{- $wantsMany := or (gt (int $v.replicas) 1) $v.autoscaling.enabled -}}
{{- $shared := has "ReadWriteMany" $v.persistence.accessModes -}}
{{- if and (ne $v.mode "auth-only") $wantsMany (not $v.shards.count) -}}
  {{- if not $v.persistence.enabled -}}
    {{- fail "replicas: several pods without persistence would each have repositories of their own; set persistence.enabled, with ReadWriteMany storage" -}}
  {{- end -}}
  {{- if not $shared -}}
    {{- fail "replicas: several pods need one volume that all of them can write; set persistence.accessModes to [ReadWriteMany], or use shards.count" -}}
  {{- end -}}
{{- end -}}
{{- if and $v.shards.count (ne $v.mode "all-in-one") -}}
  {{- fail "shards.count works with mode all-in-one only" -}}
{{- end -}}
{{- if and $v.shards.count $wantsMany -}}
  {{- fail "shards.count and replicas or autoscaling exclude each other: a shard is one pod; scale shards.router.replicas" -}}
{{- end -}}
{{- if and $v.shards.count (not $v.persistence.enabled) -}}
  {{- fail "shards.count needs persistence.enabled: what a shard holds is nowhere else" -}}
{{- end -}}
{{- if and $v.shards.count $v.persistence.existingClaim -}}
  {{- fail "shards.count and persistence.existingClaim exclude each other: every shard has a claim of its own" -}}
{{- end -}}
{{- range $name, $shard := $v.shards.pinned -}}
  {{- if ge (int $shard) (int $v.shards.count) -}}{{- fail (printf "shards.pinned: there is no shard %d for %s" (int $shard) $name) -}}{{- end -}}
{{- end -}}
{{- if $v.shards.count -}}
  {{- range $alias, $target := (dig "aliases" dict $v.runner.config) -}}
    {{- $store := ternary (dig "repository" "" $target) (toString $target) (kindIs "map" $target) -}}
    {{- if or (not (hasKey $v.shards.pinned $alias)) (not (hasKey $v.shards.pinned $store)) -}}
      {{- fail (printf "shards: pin %s and %s to one shard in shards.pinned, an alias is served where its repository is" $alias $store) -}}
    {{- else if ne (get $v.shards.pinned $alias | int) (get $v.shards.pinned $store | int) -}}
      {{- fail (printf "shards: %s and %s are pinned to different shards" $alias $store) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and (eq $v.mode "all-in-one") (ne (include "gitward.web" $v.authd.config) (include "gitward.web" $v.runner.config)) -}}
  {{- fail "authd.config.web and runner.config.web must be the same" -}}
{{- end -}}
{{- if and $v.shards.count (include "gitward.web" $v.runner.config) -}}
  {{- fail "shards.count and web exclude each other: the list of repositories would be one shard's" -}}
{{- end -}}
{{- if and $v.policy.text $v.policy.existingConfigMap -}}{{- fail "policy.text and policy.existingConfigMap exclude each other" -}}{{- end -}}
{{- if and $v.policy.shadow $v.policy.existingConfigMap -}}{{- fail "policy.shadow belongs to policy.text" -}}{{- end -}}
{{- if and $v.users.text $v.users.existingSecret -}}{{- fail "users.text and users.existingSecret exclude each other" -}}{{- end -}}
{{- if and $v.signingKey.create $v.signingKey.existingSecret -}}{{- fail "signingKey.create and signingKey.existingSecret exclude each other" -}}{{- end -}}
{{- if and (eq $v.mode "git-only") (not (include "gitward.signingKeySecret" .)) -}}
  {{- fail "mode git-only needs signingKey.existingSecret: the key that authd signs with" -}}
{{- end -}}
{{- if and (eq $v.mode "auth-only") $wantsMany (not (include "gitward.signingKeySecret" .)) -}}
  {{- fail "several pods of mode auth-only need one key: set signingKey.existingSecret or signingKey.create" -}}
{{- end -}}
{{- if $v.ldap.enabled -}}
  {{- if not $v.ldap.config.urls -}}{{- fail "ldap.config.urls is missing" -}}{{- end -}}
  {{- if and $v.ldap.config.bind_dn (not $v.ldap.bindPassword.existingSecret) (not $v.ldap.config.bind_password_file) -}}
    {{- fail "ldap.bindPassword.existingSecret is missing: there is no value for the password itself" -}}
  {{- end -}}
  {{- if and $v.ldap.ca.existingConfigMap $v.ldap.ca.existingSecret -}}{{- fail "ldap.ca: either existingConfigMap or existingSecret" -}}{{- end -}}
{{- end -}}
{{- if and $v.persistence.existingClaim (not $v.persistence.enabled) -}}{{- fail "persistence.existingClaim needs persistence.enabled" -}}{{- end -}}
{{- if and $v.tls.existingSecret (ne $v.mode "all-in-one") -}}{{- fail "tls.existingSecret is for nginx, which mode all-in-one only has" -}}{{- end -}}
{{- if and $v.ingress.enabled (not $v.ingress.hosts) -}}{{- fail "ingress.hosts is empty" -}}{{- end -}}
{{- if and (or $v.ingress.enabled $v.httpRoute.enabled) (eq $v.mode "auth-only") -}}
  {{- fail "ingress and httpRoute publish git; mode auth-only has nothing to publish" -}}
{{- end -}}
{{- if and (or $v.ingress.enabled $v.httpRoute.enabled) (eq $v.mode "git-only") -}}
  {{- if not $v.front.authd.service -}}{{- fail "front.authd.service is missing: nobody would be asked" -}}{{- end -}}
  {{- if and $v.ingress.enabled (not (has $v.front.kind (list "ingress-nginx" "traefik"))) -}}
    {{- fail (printf "front.kind %s cannot be told by an Ingress to ask authd" $v.front.kind) -}}
  {{- end -}}
  {{- if and $v.httpRoute.enabled (not (has $v.front.kind (list "gateway-fabric" "envoy-gateway"))) -}}
    {{- fail (printf "front.kind %s cannot be told by an HTTPRoute to ask authd" $v.front.kind) -}}
  {{- end -}}
{{- end -}}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) -}}{{- fail "httpRoute.parentRefs is empty: name the Gateway" -}}{{- end -}}
{{- if and $v.tests.user (not (and $v.tests.existingSecret $v.tests.repository)) -}}
  {{- fail "tests.user needs tests.existingSecret and tests.repository" -}}
{{- end -}}
{{- if and $v.monitoring.serviceMonitor.enabled $v.monitoring.podMonitor.enabled -}}
  {{- fail "monitoring: either serviceMonitor or podMonitor, or everything is counted twice" -}}
{{- end -}}
{{- if and (eq $v.mode "all-in-one") (or (hasKey $v.authd.config "mount") (hasKey $v.authd.config "mounts")) -}}
  {{- fail "authd.config.mount and mounts: the nginx of this mode serves /git/ only; use mode auth-only with a front server of your own" -}}
{{- end -}}
{{- $requestLimit := dig "limits" "request" "" $v.runner.config -}}
{{- if $requestLimit -}}
  {{- $seconds := mul (regexFind "^[0-9]+" $requestLimit | int) (get (dict "ms" 0 "s" 1 "m" 60 "h" 3600 "d" 86400) (regexFind "(ms|s|m|h|d)$" $requestLimit) | int) -}}
  {{- if gt $seconds (int $v.stop.drainSeconds) -}}
    {{- fail (printf "runner.config.limits.request (%s) is longer than stop.drainSeconds (%d): a rollout would cut such a request off" $requestLimit (int $v.stop.drainSeconds)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}
