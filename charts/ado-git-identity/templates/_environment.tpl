{{/* The webhook's environment. Empty and null values are left out, so that the program's own defaults apply. */}}
{{- define "ado-git.environment" -}}
{{- $tls := .Values.tls }}
{{- $sidecar := .Values.sidecar }}
{{- $environment := dict
  "ADO_GIT_LISTEN_PORT" (int64 .Values.webhook.port)
  "ADO_GIT_HEALTH_PORT" (int64 .Values.webhook.healthPort)
  "ADO_GIT_LOG_LEVEL" .Values.webhook.logLevel
  "ADO_GIT_DRAIN_SECONDS" (int64 .Values.webhook.drainSeconds)
  "ADO_GIT_CLIENT_ID" .Values.azure.clientId
  "ADO_GIT_TENANT_ID" .Values.azure.tenantId
  "ADO_GIT_AUTHORITY_HOST" .Values.azure.authorityHost
  "ADO_GIT_SIDECAR_IMAGE" (include "ado-git.sidecarImage" .)
  "ADO_GIT_SIDECAR_PULL_POLICY" ($sidecar.image.pullPolicy | default .Values.image.pullPolicy)
  "ADO_GIT_SIDECAR_PULL_SECRETS" (join "," $sidecar.pullSecrets)
  "ADO_GIT_SIDECAR_PORT" (int64 $sidecar.port)
  "ADO_GIT_SIDECAR_RESOURCES" (toJson ($sidecar.resources | default dict))
  "ADO_GIT_SIDECAR_HTTPS_PROXY" $sidecar.proxy.httpsProxy
  "ADO_GIT_SIDECAR_NO_PROXY" $sidecar.proxy.noProxy
  "ADO_GIT_SIDECAR_EXTRA_CA" $sidecar.extraCa.pem
  "ADO_GIT_SIDECAR_EXTRA_CA_CONFIG_MAP" $sidecar.extraCa.configMapName
  "ADO_GIT_SIDECAR_NODE_FLAGS" (join " " $sidecar.nodeFlags)
  "ADO_GIT_SIDECAR_RUN_AS_USER" (kindIs "invalid" $sidecar.runAsUser | ternary "none" (int64 $sidecar.runAsUser | toString))
  "ADO_GIT_CLIENT_CA_FILE" (empty (include "ado-git.clientCaConfigMap" .) | ternary "" "/etc/ado-git-client-ca/ca.crt")
  "ADO_GIT_CLIENT_COMMON_NAMES" (join "," .Values.webhook.clientCa.commonNames)
  "ADO_GIT_TLS_MODE" (eq $tls.mode "managed" | ternary "managed" "files")
  "ADO_GIT_NAMESPACE" .Release.Namespace
}}
{{- if eq $tls.mode "managed" }}
{{- $environment = merge $environment (dict
  "ADO_GIT_CA_DAYS" (int64 $tls.managed.caDays)
  "ADO_GIT_LEAF_DAYS" (int64 $tls.managed.leafDays)
  "ADO_GIT_OVERLAP_SECONDS" (int64 $tls.managed.overlapSeconds)
) }}
{{- else }}
{{- $environment = merge $environment (dict
  "ADO_GIT_TLS_CERT_FILE" "/etc/ado-git-tls/tls.crt"
  "ADO_GIT_TLS_KEY_FILE" "/etc/ado-git-tls/tls.key"
) }}
{{- end }}
{{- range $name, $value := $environment }}
{{- if not (or (kindIs "invalid" $value) (eq ($value | toString) "")) }}
- name: {{ $name }}
  value: {{ include "ado-git.literal" ($value | toString) | quote }}
{{- end }}
{{- end }}
{{- end }}
