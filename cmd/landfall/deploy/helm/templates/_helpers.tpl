{{- define "landfall.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "landfall.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "landfall.labels" -}}
{{ include "landfall.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* The config of the server: what the chart sets has precedence. */ -}}
{{- define "landfall.config" -}}
{{- $_ := required "config.destinations is needed: the config of the server, as config in the values" .Values.config.destinations }}
{{- $set := dict "listen" "0.0.0.0:8080" "admin" (dict "listen" "0.0.0.0:8081" "key" "${LANDFALL_ADMIN_KEY}") }}
{{- if eq .Values.mode "cluster" }}
{{- $nats := dict "url" (required "nats.url is needed for mode cluster" .Values.nats.url) }}
{{- if .Values.nats.credentials.secret }}{{ $_ := set $nats "credentials" "/etc/landfall/nats/landfall.creds" }}{{ end }}
{{- $_ := set $set "nats" $nats }}
{{- $_ := set $set "state" (dict "url" "${LANDFALL_STATE_URL}") }}
{{- end }}
{{- mergeOverwrite (deepCopy .Values.config) $set | toYaml }}
{{- end }}

{{- define "landfall.pod" -}}
metadata:
  labels:
    {{- include "landfall.selector" . | nindent 4 }}
    {{- with .Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with .Values.podAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: landfall
      image: "{{ .Values.image.repository }}{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: {{ concat (list "serve" "--config" "/etc/landfall/landfall.yaml" "--data" "/data" "--json") .Values.extraArgs | toJson }}
      env:
        - name: LANDFALL_ADMIN_KEY
          valueFrom: {secretKeyRef: {name: {{ .Values.adminKey.secret | quote }}, key: {{ .Values.adminKey.key | quote }}}}
        {{- if eq .Values.mode "cluster" }}
        - name: LANDFALL_STATE_URL
          valueFrom: {secretKeyRef: {name: {{ required "postgres.url.secret is needed for mode cluster" .Values.postgres.url.secret | quote }}, key: {{ .Values.postgres.url.key | quote }}}}
        {{- end }}
      {{- with .Values.environmentFrom }}
      envFrom:
        {{- range . }}
        - secretRef: {name: {{ . | quote }}}
        {{- end }}
      {{- end }}
      ports:
        - {name: events, containerPort: 8080}
        - {name: admin, containerPort: 8081}
      startupProbe:
        httpGet: {path: /healthz, port: events}
        periodSeconds: 5
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: events}
        periodSeconds: 10
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: events}
        periodSeconds: 5
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      resources: {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - {name: data, mountPath: /data}
        - {name: tmp, mountPath: /tmp}
        - {name: config, mountPath: /etc/landfall, readOnly: true}
  volumes:
    - {name: tmp, emptyDir: {}}
    - name: config
      projected:
        sources:
          - configMap: {name: {{ include "landfall.name" . }}}
          {{- with .Values.secretFiles }}
          - secret: {name: {{ . | quote }}}
          {{- end }}
          {{- if and (eq .Values.mode "cluster") .Values.nats.credentials.secret }}
          - secret:
              name: {{ .Values.nats.credentials.secret | quote }}
              items: [{key: {{ .Values.nats.credentials.key | quote }}, path: nats/landfall.creds}]
          {{- end }}
    {{- if eq .Values.mode "cluster" }}
    - {name: data, emptyDir: {}}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
