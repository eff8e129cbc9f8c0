package fault

import (
	"errors"
	"net/http"
	"slices"
)

// Cause is why an event was not delivered, as a value for programs: logs, metrics, dead letters and JSON output carry it beside
// the sentence for people. "" means that the event was delivered, or that the cause was not recorded. Causes are stored, so a
// Cause keeps its text.
type Cause string

// Causes of events that did not have to be sent.
const (
	CauseNotSubscribed Cause = "not_subscribed"
	CauseSampledOut    Cause = "sampled_out"
	CauseNoConsent     Cause = "no_consent"
	CauseOptedOut      Cause = "opted_out"
	CauseSuppressed    Cause = "suppressed"
	CauseErased        Cause = "erased"
	CauseSuperseded    Cause = "superseded"
	CauseNoChange      Cause = "no_change"
	CauseNothingToSend Cause = "nothing_to_send"
	CauseRunsInBrowser Cause = "runs_in_browser"
)

// Causes of events that Landfall refused before it sent anything. A subscription whose mapping cannot make a payload other than those
// that the action's handler refuses for CauseNoIdentifier or CauseIncomplete is reported as a mistake of the config.
const (
	CauseInvalidEvent        Cause = "invalid_event"
	CauseInvalidField        Cause = "invalid_field"
	CauseNoIdentifier        Cause = "no_identifier"
	CauseIncomplete          Cause = "incomplete_payload"
	CauseWrongAudience       Cause = "wrong_audience"
	CauseEgressDenied        Cause = "egress_denied"
	CauseSubscriptionRemoved Cause = "subscription_removed"
	CauseProcessCrashed      Cause = "process_crashed"
	CauseHandlerFailed       Cause = "handler_failed"
)

// Causes at the remote, and of events that wait.
const (
	CauseRefused           Cause = "refused_by_remote"
	CauseRemoteUnavailable Cause = "remote_unavailable"
	CauseRateLimited       Cause = "rate_limited"
	CauseLoginRequired     Cause = "login_required"
	CauseStateUnavailable  Cause = "state_unavailable"
	CauseInProgress        Cause = "in_progress"
	CauseBehindParked      Cause = "behind_parked"
	CauseBehindSpilled     Cause = "behind_spilled"
	CauseEvicted           Cause = "evicted"
)

// CauseInfo describes a cause to users.
type CauseInfo struct {
	Cause Cause
	Text  string // what happened; the reason of an event if nothing more specific is known
	Next  string // what to do; "" if nothing
}

// causes has an entry for every cause. It must not be changed.
var causes = []CauseInfo{
	{CauseNotSubscribed, "the event does not match the subscription", "landfall explain shows which condition fails"},
	{CauseSampledOut, "left out by the sampling rate", "the subscription's sampling rate decides; set it to 1 for all events"},
	{CauseNoConsent, "the user has not consented to a category of the instance", "the event's context.consent decides; see consent in the config"},
	{CauseOptedOut, "the event's integrations turn this destination off", "the client sets integrations; change its code to send the event here"},
	{CauseSuppressed, "the user is suppressed", "landfall suppress remove lifts that; the event is not sent by itself then"},
	{CauseErased, "the user was erased", "landfall erase list shows the receipt"},
	{CauseSuperseded, "superseded by a newer event of the same user", ""},
	{CauseNoChange, "no change: the user already has this membership", ""},
	{CauseNothingToSend, "the action had nothing to send", ""},
	{CauseRunsInBrowser, "the action runs in the browser, which sends the event itself", ""},
	{CauseInvalidEvent, "the event cannot be read", "correct the sender; the event cannot be replayed as it is"},
	{CauseInvalidField, "a field of the payload is missing or invalid", "correct the mapping or the sender, then replay the event"},
	{CauseNoIdentifier, "the event has no identifier that the destination accepts", "map an identifier, then replay the event"},
	{CauseIncomplete, "the payload lacks something that the action needs, or contradicts itself", "complete the mapping, then replay the event"},
	{CauseWrongAudience, "the event belongs to another audience than the subscription", "correct the subscription's query or its audience key, then replay the event"},
	{CauseEgressDenied, "the event names a host that requests may not be sent to", "allow the host with egress.allow in the config, then replay the event"},
	{CauseSubscriptionRemoved, "the subscription no longer exists", "add the subscription again, or drop the event"},
	{CauseProcessCrashed, "crashed the process more than once while it was mapped: it is not retried automatically", "report the event to the maintainers; replay it after an update"},
	{CauseHandlerFailed, "the destination's code broke its contract", "report the error to the author of the destination, then replay the event"},
	{CauseRefused, "the destination refused the event", "the reason has the destination's words; correct the cause, then replay the event"},
	{CauseRemoteUnavailable, "the destination did not answer, or failed", "check the destination's status, then replay the event"},
	{CauseRateLimited, "the destination asks to send more slowly", "lower delivery.parallel, or ask for a higher limit"},
	{CauseLoginRequired, "the destination needs a new login", "run landfall auth login"},
	{CauseStateUnavailable, "the ledger does not answer", "check its database, or the disk of the data directory"},
	{CauseInProgress, "the destination is still processing the event", ""},
	{CauseBehindParked, "waits behind a parked event of the same user", "replay or drop the user's first parked event"},
	{CauseBehindSpilled, "waits for many earlier events of the same user, and resumes automatically", ""},
	{CauseEvicted, "parked temporarily: the destination does not accept it, and other events wait", "resumes automatically when the destination accepts events again"},
}

// Causes returns a description of every cause, in the order of this package's documentation.
func Causes() []CauseInfo { return slices.Clone(causes) }

// info returns the description of a cause, or the zero CauseInfo.
func (c Cause) info() CauseInfo {
	for i := range causes {
		if causes[i].Cause == c {
			return causes[i]
		}
	}
	return CauseInfo{}
}

// Text returns what happened, as a clause without a capital; "" for an unknown cause.
func (c Cause) Text() string { return c.info().Text }

// Next returns what to do about it; "" if nothing can or needs to be done.
func (c Cause) Next() string { return c.info().Next }

// CauseOf returns the cause of an error: that of the *Error which it wraps, or the one that follows from its code and status. It is
// "" for nil.
func CauseOf(err error) Cause {
	var e *Error
	if !errors.As(err, &e) {
		if err == nil {
			return ""
		}
		e = As(err)
	}
	if e.Cause != "" {
		return e.Cause
	}
	switch e.Code {
	case CodeInvalidPayload:
		return CauseInvalidField
	case CodeInvalidEvent:
		return CauseInvalidEvent
	case CodeConnection:
		return CauseRemoteUnavailable
	case CodeLogin:
		return CauseLoginRequired
	case CodeState:
		return CauseStateUnavailable
	case CodeEgress:
		return CauseEgressDenied
	case CodeInternal:
		return CauseHandlerFailed
	}
	switch {
	case e.Status == http.StatusTooManyRequests:
		return CauseRateLimited
	case e.Retry:
		return CauseRemoteUnavailable
	}
	return CauseRefused
}
