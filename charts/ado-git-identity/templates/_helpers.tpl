{{/* The same for every release name: a cluster has one webhook configuration of this name. */}}
{{- define "ado-git.name" -}}
ado-git-identity-webhook
{{- end }}

{{- define "ado-git.selectorLabels" -}}
app.kubernetes.io/name: ado-git-identity
app.kubernetes.io/component: webhook
{{- end }}

{{- define "ado-git.labels" -}}
{{ include "ado-git.selectorLabels" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The chart's labels and more of the user's, which replace none of the chart's. Takes a dict with root and labels. */}}
{{- define "ado-git.labelsAnd" -}}
{{- merge (include "ado-git.labels" .root | fromYaml) (.labels | default dict) | toYaml }}
{{- end }}

{{/* Kubernetes replaces $(NAME) in commands and in values of variables; $$ is a dollar. */}}
{{- define "ado-git.literal" -}}
{{- . | replace "$" "$$" }}
{{- end }}

{{/* The reference of an image. Takes a dict with chart (for the appVersion) and image. */}}
{{- define "ado-git.imageReference" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "ado-git.image" -}}
{{ include "ado-git.imageReference" (dict "chart" .Chart "image" .Values.image) }}
{{- end }}

{{/* If the sidecar has its own repository, tag or digest, none of the webhook's is used: a digest of one repository does not exist in another. */}}
{{- define "ado-git.sidecarImage" -}}
{{- $own := .Values.sidecar.image -}}
{{- if or $own.repository $own.tag $own.digest -}}
{{ include "ado-git.imageReference" (dict "chart" .Chart "image" (dict "repository" ($own.repository | default .Values.image.repository) "tag" $own.tag "digest" $own.digest)) }}
{{- else -}}
{{ include "ado-git.image" . }}
{{- end }}
{{- end }}

{{/* The mounted Secret with tls.crt and tls.key; empty where the webhook reads its Secret through the API. */}}
{{- define "ado-git.mountedSecret" -}}
{{- if eq .Values.tls.mode "provided" -}}
{{ required "tls.provided.secretName is required with tls.mode=provided: set it to the name of a Secret with tls.crt and tls.key in the release's namespace" .Values.tls.provided.secretName }}
{{- else if eq .Values.tls.mode "cert-manager" -}}
{{ include "ado-git.name" . }}
{{- end }}
{{- end }}

{{/* The mounted ConfigMap with the authority of the API server's client certificate; empty where none is required. */}}
{{- define "ado-git.clientCaConfigMap" -}}
{{- if .Values.webhook.clientCa.pem -}}
{{ include "ado-git.name" . }}-client-ca
{{- else -}}
{{ .Values.webhook.clientCa.configMapName }}
{{- end }}
{{- end }}

{{- define "ado-git.excludedNamespaces" -}}
{{- concat (list "kube-system" "kube-node-lease" .Release.Namespace) .Values.webhook.excludedNamespaces | uniq | toJson }}
{{- end }}

{{/* The namespace in which the test creates a pod with a dry run. */}}
{{- define "ado-git.testNamespace" -}}
{{- /* A name that nothing else uses: the hook deletes the namespace afterwards. */}}
{{- printf "ado-git-identity-test-%s" (sha256sum .Release.Namespace | trunc 8) }}
{{- end }}

{{/* Its labels satisfy matchLabels, In and Exists of webhook.namespaceSelector; where they name the same key, the first of these wins. */}}
{{- define "ado-git.testNamespaceLabels" -}}
{{- $selector := .Values.webhook.namespaceSelector | default dict }}
{{- $labels := merge (dict) ($selector.matchLabels | default dict) }}
{{- range $operator := list "In" "Exists" }}
{{- range $selector.matchExpressions }}
{{- if and (eq .operator $operator) (not (hasKey $labels .key)) }}
{{- $_ := set $labels .key (.values | default (list "true") | first) }}
{{- end }}
{{- end }}
{{- end }}
{{- if not (or $selector.matchLabels $selector.matchExpressions) }}
{{- $_ := set $labels "ado-git.workload.identity/inject" "enabled" }}
{{- end }}
{{- merge $labels (include "ado-git.labels" . | fromYaml) | toYaml }}
{{- end }}

{{/* A quantity as a number. The schema allows the same suffixes. */}}
{{- define "ado-git.quantity" -}}
{{- $factors := dict "" 1 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
{{- /* Large numbers of a values file are floats, which print as 1.5e+08 except as JSON. */}}
{{- $text := toJson . | trimAll "\"" }}
{{- $suffix := regexFind "[A-Za-z]+$" $text }}
{{- mulf (trimSuffix $suffix $text | float64) (get $factors $suffix) }}
{{- end }}
