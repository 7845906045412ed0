{{/* Names and labels: what objects are called and how they find each other. Nothing else belongs here. */}}

{{- define "gitward.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 40 characters at most: the longest suffix, of a shard's own Service, has to fit behind it in 63. */}}
{{- define "gitward.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "gitward.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "gitward.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Selectors cannot be changed after the first install, so nothing that changes with a version is in them. */}}
{{- define "gitward.selector" -}}
app.kubernetes.io/name: {{ include "gitward.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "gitward.labels" -}}
{{ include "gitward.selector" . }}
app.kubernetes.io/part-of: gitward
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* metadata of an object: {root, component, name, annotations, labels} */}}
{{- define "gitward.metadata" -}}
name: {{ .name | default (include "gitward.fullname" .root) }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "gitward.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with mergeOverwrite (dict) (.root.Values.commonAnnotations | default dict) (.annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "gitward.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "gitward.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* {root, image, variant}: registry/repository:tag, or @digest, which wins. A variant is a suffix of the tag. */}}
{{- define "gitward.image" -}}
{{- $registry := .root.Values.global.imageRegistry | default .root.Values.images.registry -}}
{{- $name := ternary (printf "%s/%s" $registry .image.repository) .image.repository (ne $registry "") -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s%s" $name (.image.tag | default .root.Values.images.tag | default .root.Chart.AppVersion) (.variant | default "") -}}
{{- end -}}
{{- end -}}
