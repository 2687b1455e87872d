{{- define "sealwright.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "sealwright.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sealwright.labels" -}}
{{ include "sealwright.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "sealwright.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "sealwright.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "sealwright.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- /* The secrets as files. The image names a SQLite file, and an empty variable gives way to its file variable. */ -}}
{{- define "sealwright.secretEnvironment" -}}
- name: SEALWRIGHT_DATABASE__URL
  value: ""
- name: SEALWRIGHT_DATABASE__URL_FILE
  value: /run/secrets/sealwright/database-url
- name: SEALWRIGHT_KEYS__MASTER_KEY_FILE
  value: /run/secrets/sealwright/master-key
{{- if .Values.previousMasterKey }}
- name: SEALWRIGHT_KEYS__MASTER_KEY_PREVIOUS_FILE
  value: /run/secrets/sealwright/master-key-previous
{{- end }}
{{- end -}}
