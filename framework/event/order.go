package event

// OrderingKey is what the order of an event is kept for: its user, else its anonymous user, else nothing but itself.
func OrderingKey(e Value) string {
	for _, name := range []string{"userId", "anonymousId", "messageId"} {
		if text := e.Get(name).Text(); text != "" {
			return name[:1] + ":" + text
		}
	}
	return ""
}
