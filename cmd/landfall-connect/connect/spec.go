package connect

import "github.com/redpanda-data/benthos/v4/public/service"

const orderText = `

A message is one event: a JSON object in the format of Segment's tracking API. Events that match a subscription of the config are
delivered, in batches across all messages of a call. Other events are done without a delivery.

If the delivery of a message fails but may succeed later, only this message returns an error, so that the pipeline sends it again.
Until then, later messages of the same user return errors as well, so that no event overtakes another one of its user. Messages of
other users continue. When the message comes again, it is not sent again to the subscriptions that have received it.`

func outputSpec() *service.ConfigSpec {
	return newSpec("Delivers events to the destinations of a Landfall config, in the order of each user.", orderText).
		Field(service.NewBatchPolicyField("batching")).
		Example("A file of events", "Reads events, one per line, and delivers them in batches.", `
input:
  file: {paths: [events.ndjson], scanner: {lines: {}}}
pipeline: {threads: 1}
output:
  landfall:
    config: landfall.yaml
    batching: {count: 1000, period: 1s}
`).Example("Dead letters", "Events that are refused, or that have not succeeded within ten minutes, go to a file.", `
output:
  fallback:
    - landfall:
        config: landfall.yaml
        refused: error
        retry_for: 10m
        hold: 0s
        batching: {count: 1000, period: 1s}
    - file: {path: dead.ndjson, codec: lines}
`)
}

func processorSpec() *service.ConfigSpec {
	return newSpec("Delivers events and passes them on, with the result of each in its metadata.", orderText+`

The metadata: landfall_outcome is delivered, skipped, refused or retry (the worst of all subscriptions), landfall_status is its HTTP
status, landfall_reason is the reason, and landfall_verdicts is a JSON array with the verdict of each subscription. If the event's own
timestamp could not be used, landfall_replaced_time says why. Each thread of a
pipeline has its own processor, so set threads: 1. A processor cannot make the pipeline send a message again, so set retry_for above 0.`)
}

func mapperSpec() *service.ConfigSpec {
	return service.NewConfigSpec().Beta().Categories("Mapping").
		Summary("Turns events into payloads with a Landfall config, and delivers nothing.").
		Description(`
Each event becomes one message for each matching subscription, in the order of the subscriptions. The content of the message is the
payload, and its metadata are landfall_instance, landfall_destination, landfall_subscription and landfall_action. An event without a
matching subscription is dropped. If the action does not accept the payload, the message keeps the event as its content and has an
error, with landfall_reason.`).
		Fields(configField(), instancesField())
}

func configField() *service.ConfigField {
	return service.NewStringField("config").Description("The path of the Landfall config.").Example("landfall.yaml").
		LintRule(`root = if this == "" { "give the path of a landfall.yaml" }`)
}

func instancesField() *service.ConfigField {
	return service.NewStringListField("instances").Default([]any{}).Description("The ids of the instances to use; by default all enabled ones.")
}

func newSpec(summary, description string) *service.ConfigSpec {
	return service.NewConfigSpec().Beta().Categories("Services").Summary(summary).Description(description).Fields(
		configField(), instancesField(),
		service.NewInterpolatedStringField("key").Default("").
			Description("The key that orders messages: those with the same key are delivered in order. By default the userId, otherwise the anonymousId, otherwise the messageId. Messages with an empty key are not ordered.").
			Example(`${! json("context.groupId") }`),
		service.NewStringAnnotatedEnumField("refused", map[string]string{
			"drop":  "The message is done, with a warning in the log and a count in the metric landfall_verdicts.",
			"error": "The message has an error. Put the output under fallback; otherwise an input sends the message again forever.",
		}).Default("drop").Description("What to do with a message that can never be delivered as it is."),
		service.NewDurationField("retry_for").Default("2s").
			Description("How long to retry a message before it returns an error. The whole batch waits meanwhile. With 0s there are no retries."),
		service.NewDurationField("outage").Default("2m").Advanced().
			Description("How long to retry, if longer than retry_for, while several users fail and no event is delivered. The remote is then probably down, and messages that the pipeline sends again one by one would be slow to catch up."),
		service.NewDurationField("hold").Default("5m").
			Description("How long a message that returned an error holds back later messages of its key if the pipeline does not send it again. With 0s it holds back none."),
		service.NewIntField("parallel").Default(8).Advanced().Description("The maximum number of concurrent requests.").
			LintRule(`root = if this < 1 { "should be at least 1" }`),
		service.NewBoolField("sandbox").Default(false).Description("Deliver to the destinations' sandboxes in this process."),
		service.NewStringField("sandbox_url").Default("").Description("Deliver to a sandbox at this URL (see landfall sandbox).").Example("http://127.0.0.1:8900"),
	).LintRule(`root = if this.sandbox.or(false) && this.sandbox_url.or("") != "" { "give one of sandbox and sandbox_url" }`)
}
