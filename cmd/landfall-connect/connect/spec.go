package connect

import "github.com/redpanda-data/benthos/v4/public/service"

const orderText = `

A message is one event: a JSON object as Segment's tracking API has it. What the config's subscriptions choose is delivered, in
batches across all messages of a call; what they do not choose is done.

A message whose delivery may still succeed comes back as an error of its own, so that the pipeline sends it again, and it alone.
Until it has come, later messages of the same user come back, too, and those of others go on: nothing overtakes for a user. What
of a message was delivered to one subscription is not sent again for another.`

func outputSpec() *service.ConfigSpec {
	return spec("Delivers events to the destinations of a Landfall config, in the order of each user.", orderText).
		Field(service.NewBatchPolicyField("batching")).
		Example("A file of events", "Reads events, a line each, and delivers them in batches.", `
input:
  file: {paths: [events.ndjson], scanner: {lines: {}}}
pipeline: {threads: 1}
output:
  landfall:
    config: landfall.yaml
    batching: {count: 1000, period: 1s}
`).Example("Dead letters", "What is refused, and what has not succeeded within ten minutes, goes to a file.", `
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
	return spec("Delivers events and goes on with them: metadata says what became of each.", orderText+`

The metadata: landfall_outcome is delivered, skipped, refused or retry (the worst of all subscriptions), landfall_status its HTTP
status, landfall_reason why, and landfall_verdicts a JSON array with the verdict of each subscription. Each thread of a pipeline has
a processor of its own, so set threads: 1, and retry_for to more than nothing: a processor cannot make a message come again.`)
}

func mapperSpec() *service.ConfigSpec {
	return service.NewConfigSpec().Beta().Categories("Mapping").
		Summary("Turns events into the payloads that a Landfall config makes of them, and delivers nothing.").
		Description(`
Each event becomes one message for each subscription that chooses it, in their order, with its payload as content and the metadata
landfall_instance, landfall_destination, landfall_subscription and landfall_action. An event that no subscription chooses
is dropped. Where the payload is not what the action takes, the message keeps the event as its content and has an error, with
landfall_reason.`).
		Fields(configField(), instancesField())
}

func configField() *service.ConfigField {
	return service.NewStringField("config").Description("The path of a Landfall config.").Example("landfall.yaml").
		LintRule(`root = if this == "" { "give the path of a landfall.yaml" }`)
}

func instancesField() *service.ConfigField {
	return service.NewStringListField("instances").Default([]any{}).Description("The ids of the instances to use; by default all that are enabled.")
}

func spec(summary, description string) *service.ConfigSpec {
	return service.NewConfigSpec().Beta().Categories("Services").Summary(summary).Description(description).Fields(
		configField(), instancesField(),
		service.NewInterpolatedStringField("key").Default("").
			Description("What the order is kept for; by default the userId, else the anonymousId, else the messageId. Messages with an empty key have no order.").
			Example(`${! json("context.groupId") }`),
		service.NewStringAnnotatedEnumField("refused", map[string]string{
			"drop":  "It is done, with a warning in the log and a count in the metric landfall_verdicts.",
			"error": "It is an error. Put the output under fallback: an input would send it again for ever.",
		}).Default("drop").Description("What to do with a message that can never be delivered as it is."),
		service.NewDurationField("retry_for").Default("2s").
			Description("How long to try again before a message comes back. All of the batch waits that long; with 0s nothing waits."),
		service.NewDurationField("outage").Default("2m").Advanced().
			Description("How long to try again, in place of retry_for where that is shorter, while several users fail and nobody gets through: the remote is away, and messages that come back one by one would be slow to catch up."),
		service.NewDurationField("hold").Default("5m").
			Description("How long a message that came back holds back the later ones of its key while it does not come again. With 0s it does not."),
		service.NewIntField("parallel").Default(8).Advanced().Description("How many requests may be under way at once.").
			LintRule(`root = if this < 1 { "should be at least 1" }`),
		service.NewBoolField("sandbox").Default(false).Description("Deliver to the destinations' sandboxes in this process."),
		service.NewStringField("sandbox_url").Default("").Description("Deliver to a sandbox at this URL (see landfall sandbox).").Example("http://127.0.0.1:8900"),
	).LintRule(`root = if this.sandbox.or(false) && this.sandbox_url.or("") != "" { "give one of sandbox and sandbox_url" }`)
}
