package admin

import (
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// readFilter decodes a filter from URL parameters.
func readFilter(q url.Values) (delivery.DeadLetterFilter, error) {
	f := delivery.DeadLetterFilter{
		Instance: q.Get("instance"), Subscription: q.Get("subscription"), ID: q.Get("id"), User: q.Get("user"), Cause: fault.Cause(q.Get("cause")), Reason: q.Get("reason"),
		Parked: q.Get("parked") == "true", Dead: q.Get("dead") == "true",
	}
	var errs [3]error
	if text := q.Get("limit"); text != "" {
		f.Limit, errs[0] = strconv.Atoi(text)
	}
	f.Since, errs[1] = readTime(q.Get("since"))
	f.Until, errs[2] = readTime(q.Get("until"))
	return f, errors.Join(errs[:]...)
}

// readTime parses a time; "" is the zero time.
func readTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return event.ReadTime(event.NewString(text))
}

// writeFilter encodes a filter as URL parameters.
func writeFilter(f delivery.DeadLetterFilter) url.Values {
	q := url.Values{}
	for name, text := range map[string]string{
		"instance": f.Instance, "subscription": f.Subscription, "id": f.ID, "user": f.User, "cause": string(f.Cause), "reason": f.Reason,
		"since": writeTime(f.Since), "until": writeTime(f.Until),
	} {
		if text != "" {
			q.Set(name, text)
		}
	}
	for name, on := range map[string]bool{"parked": f.Parked, "dead": f.Dead} {
		if on {
			q.Set(name, "true")
		}
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return q
}

// writeTime formats a time; the zero time is "".
func writeTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// filterAttributes returns the parts of a filter for the audit log. User ids and reasons are left out, because they are personal data.
func filterAttributes(f delivery.DeadLetterFilter) []any {
	var list []any
	for _, a := range []struct{ name, text string }{
		{"instance", f.Instance}, {"subscription", f.Subscription}, {"id", f.ID}, {"since", writeTime(f.Since)}, {"until", writeTime(f.Until)},
	} {
		if a.text != "" {
			list = append(list, a.name, a.text)
		}
	}
	for _, a := range []struct {
		name string
		on   bool
	}{{"by_user", f.User != ""}, {"by_cause", f.Cause != ""}, {"by_reason", f.Reason != ""}, {"parked", f.Parked}, {"dead", f.Dead}} {
		if a.on {
			list = append(list, a.name, true)
		}
	}
	return list
}
