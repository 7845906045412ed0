{{/* Pod templates: which containers, in which order, with which volumes, under which restrictions. */}}

{{/* {root, component, settings}: what all pods of the chart have in common. */}}
{{- define "gitward.pod.common" -}}
serviceAccountName: {{ include "gitward.serviceAccountName" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
terminationGracePeriodSeconds: {{ add (int .root.Values.stop.delaySeconds) (int .root.Values.stop.drainSeconds) 15 }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ int .root.Values.podSecurity.runAsUser }}
  runAsGroup: {{ int .root.Values.podSecurity.runAsUser }}
  fsGroup: {{ int .root.Values.podSecurity.runAsUser }}
  # Else every start of a pod would change the group of every file of every repository.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
  {{- with .root.Values.podSecurity.appArmorProfile }}
  {{- if semverCompare ">=1.30-0" $.root.Capabilities.KubeVersion.Version }}
  appArmorProfile:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- if .root.Values.podSecurity.userNamespace }}
hostUsers: false
{{- end }}
{{- with .root.Values.podSecurity.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .settings.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .settings.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.affinity }}
affinity:
  {{- tpl (toYaml .) $.root | nindent 2 }}
{{- end }}
{{- with .settings.topologySpread }}
topologySpreadConstraints:
  {{- range . }}
  - {{ toYaml . | indent 4 | trim }}
    {{- if not .labelSelector }}
    labelSelector:
      matchLabels:
        {{- include "gitward.selector" $ | nindent 8 }}
    {{- end }}
  {{- end }}
{{- end }}
{{- with .root.Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
Metadata of a pod template. Only what cannot be reloaded is in the checksum: a new policy, user or setting of a daemon
must not restart anything.
*/}}
{{- define "gitward.pod.metadata" -}}
labels:
  {{- include "gitward.selector" . | nindent 2 }}
  {{- with mergeOverwrite (dict) .root.Values.commonLabels .settings.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  kubectl.kubernetes.io/default-container: {{ .container }}
  checksum/restart: {{ .restart | sha256sum }}
  {{- with mergeOverwrite (dict) .root.Values.commonAnnotations .settings.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* What a daemon reads only at its start, besides what is in the pod template anyway. */}}
{{- define "gitward.pod.restart" -}}
{{- dict "listen" .Values.listenAddress "capacity" (dig "cache" "capacity" "" .Values.authd.config) "audit" (list .Values.audit.enabled .Values.audit.path) | toJson -}}
{{- if eq .Values.mode "all-in-one" -}}{{- include "gitward.nginx.files" . -}}{{- end -}}
{{- end -}}

{{- define "gitward.pod.server" -}}
{{- $pod := dict "root" . "component" "server" "settings" .Values.server -}}
{{- $container := get (dict "all-in-one" "nginx" "auth-only" "authd" "git-only" "backend-runner") .Values.mode -}}
metadata:
  {{- include "gitward.pod.metadata" (dict "root" . "component" "server" "settings" .Values.server "container" $container "restart" (include "gitward.pod.restart" .)) | nindent 2 }}
spec:
  {{- include "gitward.pod.common" $pod | nindent 2 }}
  {{- if or .Values.server.extraInitContainers (eq .Values.mode "all-in-one") }}
  initContainers:
    {{- with .Values.server.extraInitContainers }}
    {{- tpl (toYaml .) $ | nindent 4 }}
    {{- end }}
    {{- if eq .Values.mode "all-in-one" }}
    # With restartPolicy these are sidecars: they start in this order, each when the one before is ready, and stop after nginx.
    - {{ include "gitward.container.authd" . | indent 6 | trim }}
      restartPolicy: Always
    - {{ include "gitward.container.runner" . | indent 6 | trim }}
      restartPolicy: Always
    {{- end }}
  {{- end }}
  containers:
    {{- if eq .Values.mode "all-in-one" }}
    - {{ include "gitward.container.nginx" (dict "root" . "settings" .Values.nginx "component" "server") | indent 6 | trim }}
    {{- else if eq .Values.mode "auth-only" }}
    - {{ include "gitward.container.authd" . | indent 6 | trim }}
      {{- include "gitward.container.preStop" . | nindent 6 }}
    {{- else }}
    - {{ include "gitward.container.runner" . | indent 6 | trim }}
      {{- include "gitward.container.preStop" . | nindent 6 }}
    {{- end }}
    {{- with .Values.server.extraContainers }}
    {{- tpl (toYaml .) $ | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "gitward.pod.volumes" . | nindent 4 }}
{{- end -}}

{{- define "gitward.pod.volumes" -}}
{{- if ne .Values.mode "git-only" -}}
- name: authd-config
  projected:
    # 0440: secrets are among it, and the group is the pod's own.
    defaultMode: 0440
    sources:
      {{- include "gitward.authd.sources" . | nindent 6 }}
{{- end }}
{{- if ne .Values.mode "auth-only" }}
- name: runner-config
  projected:
    defaultMode: 0440
    sources:
      {{- include "gitward.runner.sources" . | nindent 6 }}
{{- include "gitward.pod.runnerVolumes" . }}
{{- end }}
{{- with include "gitward.signingKeySecret" . }}
- name: signing-key
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      - { key: {{ $.Values.signingKey.key }}, path: signing.key }
{{- else }}
- name: signing-key
  emptyDir: { medium: Memory, sizeLimit: 1Mi }
{{- end }}
{{- if eq .Values.mode "all-in-one" }}
- name: authd-socket
  emptyDir: { medium: Memory, sizeLimit: 1Mi }
- name: runner-socket
  emptyDir: { medium: Memory, sizeLimit: 1Mi }
{{ include "gitward.pod.nginxVolumes" (dict "root" . "component" "server" "config" (printf "%s-nginx" (include "gitward.fullname" .))) }}
{{- end }}
{{- with .Values.server.extraVolumes }}
{{ tpl (toYaml .) $ }}
{{- end }}
{{- end -}}

{{- define "gitward.pod.nginxVolumes" -}}
- name: nginx-config
  configMap:
    name: {{ .config }}
- name: nginx-temp
  emptyDir: { sizeLimit: {{ .root.Values.nginx.tempSize }} }
{{- with include "gitward.tlsSecret" . }}
- name: tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- define "gitward.pod.runnerVolumes" -}}
{{- if .Values.persistence.enabled }}
{{- if not .Values.shards.count }}
- name: repositories
  persistentVolumeClaim:
    claimName: {{ .Values.persistence.existingClaim | default (printf "%s-repositories" (include "gitward.fullname" .)) }}
{{- end }}
{{- else }}
- name: repositories
  emptyDir: { sizeLimit: {{ .Values.persistence.size }} }
{{- end }}
- name: cache
  emptyDir: { sizeLimit: {{ .Values.runner.cacheVolumeSize }} }
- name: scratch
  emptyDir: { sizeLimit: {{ .Values.runner.scratchVolumeSize }} }
{{- if and .Values.audit.enabled (hasPrefix "/var/log/gitward/" .Values.audit.path) }}
- name: audit
  {{- if .Values.audit.existingClaim }}
  persistentVolumeClaim:
    claimName: {{ .Values.audit.existingClaim }}
  {{- else }}
  emptyDir: { sizeLimit: {{ .Values.audit.volumeSize }} }
  {{- end }}
{{- end }}
{{- range $kind, $map := .Values.runner.externalHooks }}
- name: hooks-{{ $kind }}
  configMap:
    name: {{ $map }}
    defaultMode: 0555
{{- end }}
{{- end -}}

{{- define "gitward.pod.router" -}}
{{- $settings := .Values.shards.router -}}
metadata:
  {{- include "gitward.pod.metadata" (dict "root" . "component" "router" "settings" $settings "container" "nginx" "restart" (include "gitward.router.files" .)) | nindent 2 }}
spec:
  {{- include "gitward.pod.common" (dict "root" . "component" "router" "settings" $settings) | nindent 2 }}
  containers:
    - {{ include "gitward.container.nginx" (dict "root" . "settings" $settings "component" "router") | indent 6 | trim }}
  volumes:
    {{- include "gitward.pod.nginxVolumes" (dict "root" . "component" "router" "config" (printf "%s-router" (include "gitward.fullname" .))) | nindent 4 }}
{{- end -}}
