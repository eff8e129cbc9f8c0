package event

// OrderingKey returns the key within which events are delivered in order: the userId, otherwise the anonymousId, otherwise the
// messageId, or "" if the event has none of them.
func OrderingKey(e Value) string {
	kind, id := orderingID(e)
	if id == "" {
		return ""
	}
	return kind + ":" + id
}

// OrderingKeyIn returns the OrderingKey of an event that is ordered within a scope only, such as an audience; "" if it has no key.
func OrderingKeyIn(scope string, e Value) string {
	kind, id := orderingID(e)
	if id == "" {
		return ""
	}
	return scope + " " + kind + ":" + id
}

// orderingID returns the two parts of an event's OrderingKey: u, a or m, and the id.
func orderingID(e Value) (kind, id string) {
	for _, name := range []string{"userId", "anonymousId", "messageId"} {
		if text := e.Get(name).Text(); text != "" {
			return name[:1], text
		}
	}
	return "", ""
}
