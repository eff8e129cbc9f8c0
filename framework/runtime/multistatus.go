package runtime

import "github.com/landfall-dev/landfall/framework/event"

// Multistatus returns the verdict in the form of Segment's results: status, sent and body if it was delivered; otherwise also
// errortype, errormessage and errorreporter.
func (v Verdict) Multistatus() event.Value {
	members := []event.Member{{Key: "status", Value: event.NewInt(int64(v.Status))}}
	if v.Code != "" || v.Outcome == Refused || v.Outcome == Retry {
		members = append(members,
			event.Member{Key: "errortype", Value: event.NewString(v.Code)},
			event.Member{Key: "errormessage", Value: event.NewString(v.Reason)},
			event.Member{Key: "errorreporter", Value: event.NewString(v.Reporter)},
		)
	}
	members = append(members, event.Member{Key: "sent", Value: v.Sent}, event.Member{Key: "body", Value: v.Body})
	return event.NewObject(members).WithoutHoles()
}
