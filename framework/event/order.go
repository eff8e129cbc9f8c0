package event

// OrderingKey returns the key within which events are delivered in order: the userId, otherwise the anonymousId, otherwise the
// messageId, or "" if the event has none of them.
func OrderingKey(e Value) string {
	kind, id := OrderingID(e)
	if id == "" {
		return ""
	}
	return kind + ":" + id
}

// OrderingID returns the two parts of an event's OrderingKey: u, a or m, and the id.
func OrderingID(e Value) (kind, id string) {
	for _, name := range []string{"userId", "anonymousId", "messageId"} {
		if text := e.Get(name).Text(); text != "" {
			return name[:1], text
		}
	}
	return "", ""
}
