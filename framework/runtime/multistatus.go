package runtime

import "github.com/landfall-dev/landfall/framework/event"

// Multistatus is the verdict as Segment's results have it: status, sent and body, or status, errortype, errormessage and
// errorreporter, with sent and body where there are any.
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
