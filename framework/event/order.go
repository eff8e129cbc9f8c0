package event

// OrderingKey returns the key within which events are delivered in order: the userId, otherwise the anonymousId, otherwise the
// messageId, or "" if the event has none of them.
func OrderingKey(e Value) string {
	for _, name := range []string{"userId", "anonymousId", "messageId"} {
		if text := e.Get(name).Text(); text != "" {
			return name[:1] + ":" + text
		}
	}
	return ""
}
