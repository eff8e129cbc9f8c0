package why

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// operatorSlack is how much the time of an action may differ from the time that it decided at.
const operatorSlack = 5 * time.Second

// operatorAnswer is the answer if an operator's change of the audience decided after a time, and no event of the user did.
func (f *facts) operatorAnswer(g *group, after time.Time) (Answer, bool) {
	s := g.standing
	if s == nil || s.Member {
		return Answer{}, false
	}
	decided := s.At
	purged := s.Purged.After(after.Add(-operatorSlack)) && !s.Purged.IsZero()
	fromEvent := slices.ContainsFunc(g.results, func(r *result) bool { return sameMicrosecond(r.at(), s.At) && (r.verdict != nil || r.trace.Matched) })
	if fromEvent && !purged {
		return Answer{}, false
	}
	a := f.audienceAction(g, decided)
	switch {
	case purged && !s.Purged.Before(after) && !s.At.After(s.Purged.Add(operatorSlack)):
		if a == nil || a.Name != history.ActionPurge {
			a = f.audienceAction(g, s.Purged)
		}
		return Answer{
			Reason: Purged, Text: fmt.Sprintf("%s was removed from %s when the audience was emptied at %s%s; older events have no effect since.", f.question.User, s.Name, clock(s.Purged), by(a)),
			Next: "a newer entry, or landfall sync with a file of users, adds the user again",
		}, true
	case a != nil && a.Name != history.ActionPurge:
		what := map[string]string{history.ActionSync: "synced with a file", history.ActionResync: "sent again"}[a.Name]
		return Answer{
			Reason: Synced, Text: fmt.Sprintf("%s is not in %s since the audience was %s at %s%s; older events have no effect since.", f.question.User, s.Name, what, clock(a.At), by(a)),
			Next: "a newer entry, or landfall sync with a file that has the user, adds the user again",
		}, true
	}
	return Answer{}, false
}

// by says who did something, or "".
func by(a *history.Action) string {
	if a == nil {
		return ""
	}
	return " by " + a.By()
}

// isAudienceAction reports whether an action changed an audience of an instance.
func isAudienceAction(a history.Action, instance, audience string) bool {
	switch a.Name {
	case history.ActionPurge, history.ActionSync, history.ActionResync:
		return a.Attributes["instance"] == instance && (audience == "" || a.Attributes["cohort"] == audience)
	}
	return false
}

// audienceAction returns the operator's change of the group's audience that decided at a time; nil if none is recorded.
func (f *facts) audienceAction(g *group, decided time.Time) *history.Action {
	for i := range f.actions { // the newest first
		a := &f.actions[i]
		if isAudienceAction(*a, g.instance, g.audience) && !a.At.After(decided.Add(operatorSlack)) && !a.At.Before(decided.Add(-operatorSlack)) {
			return a
		}
	}
	return nil
}

// configChangeAfter returns the first change of the config after an event was received; nil if none is recorded.
func (f *facts) configChangeAfter(r *result) (first *history.Action) {
	for i := range f.actions { // the newest first
		if a := &f.actions[i]; a.Name == history.ActionConfig && a.Attributes["earlier"] != "" && a.At.After(r.event.At) {
			first = a
		}
	}
	return first
}

// findInstance returns an instance of the config, or nil.
func (f *facts) findInstance(id string) *instances.Instance {
	for i := range f.instances {
		if f.instances[i].Plan.ID() == id {
			return &f.instances[i]
		}
	}
	return nil
}

// unknownToRemote asks a sandbox whether it knows a member. asked is false if the remote cannot be asked.
func (f *facts) unknownToRemote(g *group) (unknown, asked bool) {
	if f.source.Remotes == nil {
		return false, false
	}
	for _, in := range f.source.Remotes() {
		if in.Plan.ID() != g.instance || in.Transport == nil {
			continue
		}
		list, err := unknownUsers(in.Transport, g.audience)
		if err != nil {
			return false, false
		}
		_, name, _ := strings.Cut(g.standing.Identity, ":")
		return slices.ContainsFunc(list, func(id string) bool { return id == name || strings.HasSuffix(name, ":"+id) }), true
	}
	return false, false
}

// sandboxTimeout bounds a request to a sandbox.
const sandboxTimeout = 5 * time.Second

// unknownUsers asks a sandbox which users were added to an audience and do not exist.
func unknownUsers(transport http.RoundTripper, audience string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), sandboxTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://sandbox/__sandbox/state", nil)
	if err != nil {
		return nil, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var state struct {
		Cohorts map[string]struct {
			Unknown struct {
				UserIDs   []string `json:"user_ids"`
				DeviceIDs []string `json:"device_ids"`
				Aliases   []struct {
					Name string `json:"alias_name"`
				} `json:"aliases"`
			} `json:"unknown"`
		} `json:"cohorts"`
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the sandbox responded with status %s", response.Status)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 64<<20)).Decode(&state); err != nil {
		return nil, err
	}
	unknown := state.Cohorts[audience].Unknown
	list := append(unknown.UserIDs, unknown.DeviceIDs...)
	for _, a := range unknown.Aliases {
		list = append(list, a.Name)
	}
	return list, nil
}

// newestRejection returns the newest rejected event that may be about the audience, or nil.
func (f *facts) newestRejection() *foundRejection {
	for i := range f.rejected {
		if r := &f.rejected[i]; f.question.Audience == "" || f.rejectionNames(r) {
			return r
		}
	}
	return nil
}

// rejectionNames reports whether a rejected event names the audience, by any of its names.
func (f *facts) rejectionNames(r *foundRejection) bool {
	if identifier.HasText(r.value, f.question.Audience) {
		return true
	}
	for _, s := range f.standings {
		if identifier.HasText(r.value, s.Audience) || identifier.HasText(r.value, s.Name) {
			return true
		}
	}
	return len(f.events) == 0 // nothing else explains it
}

func (f *facts) rejectedAnswer(r *foundRejection) Answer {
	n := ""
	if len(f.rejected) > 1 {
		n = fmt.Sprintf(" (%d of the user's events were rejected)", len(f.rejected))
	}
	return Answer{
		Reason: Rejected, Cause: fault.CauseInvalidEvent,
		Text: fmt.Sprintf("The event was rejected when it was received at %s from the source %s: %s%s.", clock(r.At), r.Source, r.Reason, n),
		Next: "correct the sender; rejected events are not stored, so the client has to send them again",
	}
}

func (f *facts) noInstance() Answer {
	text := "The config has no enabled instance, so nothing is delivered."
	if f.question.Instance != "" {
		text = fmt.Sprintf("The config has no enabled instance %s, so nothing is delivered there.", f.question.Instance)
	}
	return Answer{Reason: NoInstance, Text: text, Next: "add or enable an instance in the config, then deliver stored events with landfall replay"}
}

func (f *facts) neverArrived() Answer {
	where := "the log, which is empty,"
	switch {
	case f.searched.Complete && !f.searched.From.IsZero():
		where = "the log, which begins at " + clock(f.searched.From) + ","
	case !f.searched.Complete:
		where = "the part of the log since " + clock(f.searched.From)
	}
	a := Answer{
		Reason: NeverArrived, Text: fmt.Sprintf("No event of %s has arrived: %s has none, and none was rejected.", f.question.User, where),
		Next: "check that the client sends events to this server with a valid write key, and the spelling of the identifier: upper and lower case matter",
	}
	if len(f.events) > 0 {
		a.Text = fmt.Sprintf("No event about %s has arrived%s: %s has %s of %s, but none about this audience.",
			f.question.Audience, f.similarAudience(), where, fault.Count(len(f.events), "event"), f.question.User)
		a.Next = "check that the audience is connected to the source, and its id or key"
	}
	return a
}

// similarAudience suggests an audience if none has the name of the question.
func (f *facts) similarAudience() string {
	if f.hasAudience(f.audiences...) {
		return ""
	}
	return fault.DidYouMean(f.question.Audience, f.audiences)
}
