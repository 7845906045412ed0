{{/* {root, settings}: files/monitoring/rules.yaml for this release, without the alerts that are switched off. */}}
{{- define "gitward.rules" -}}
{{- $name := include "gitward.fullname" .root -}}
{{- $settings := .settings -}}
{{- $namespace := printf "namespace=%q" .root.Release.Namespace -}}
{{- $rules := .root.Files.Get "files/monitoring/rules.yaml"
  | replace "__SELECTOR__" (printf "%s,pod=~%q" $namespace (printf "%s-.*" $name))
  | replace "__CLAIMS__" (printf "%s,persistentvolumeclaim=~%q" $namespace (.root.Values.persistence.existingClaim | default (printf "%s-repositories|repositories-%s-[0-9]+" $name $name)))
  | fromYaml -}}
groups:
  - name: {{ $name }}.recording
    rules:
      {{- toYaml $rules.recording | nindent 6 }}
  - name: {{ $name }}.alerts
    rules:
      {{- range $rules.alerts }}
      {{- $threshold := get $settings.thresholds (.threshold | default "") }}
      {{- if or (not .threshold) $threshold }}
      - alert: {{ .alert }}
        expr: {{ .expr | replace "__THRESHOLD__" (toString $threshold) | quote }}
        for: {{ get . "for" }}
        labels:
          {{- mergeOverwrite (dict "severity" .severity) $settings.alertLabels | toYaml | nindent 10 }}
        annotations:
          summary: {{ .summary | quote }}
          runbook_url: {{ printf "%s%s" $settings.runbookUrl (lower .alert) | quote }}
      {{- end }}
      {{- end }}
{{- end -}}
