package brazecohorts

import (
	"context"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// batch is a batch of payloads and the API that it is sent to.
type batch struct {
	destination.BatchCall[Settings, SyncAudiencesPayload]
	api *api
}

// syncAudiences performs a batch.
func syncAudiences(ctx context.Context, call destination.BatchCall[Settings, SyncAudiencesPayload]) (*destination.MultiStatus, error) {
	api, err := newAPI(call.Settings, call.Env)
	if err != nil {
		return nil, fault.Invalid("%v", err)
	}
	b := batch{call, api}
	return destination.SyncAudience(ctx, call, destination.AudienceSync{
		Read:          b.readChange,
		Create:        b.createCohort,
		Change:        b.changeMembers,
		MaxMembers:    maxIDs,
		SendUnchanged: call.Settings.SendUnchanged != nil && *call.Settings.SendUnchanged,
		StatePrefix:   "cohort/",
	}), nil
}

// readChange returns what a payload says.
func (b *batch) readChange(i int) (c destination.MemberChange, err error) {
	p := &b.Payloads[i]
	if p.CohortName != p.PersonasAudienceKey {
		return c, fault.Invalid("Engage Audience Key is %q but the event belongs to the audience %q", p.PersonasAudienceKey, p.CohortName).Because(fault.CauseWrongAudience)
	}
	c.Audience = destination.Audience{ID: p.CohortID, Name: p.CohortName}
	if c.Identity, err = identityOf(p); err != nil {
		return c, err
	}
	if c.At, err = destination.ReadTime("Time", p.Time); err != nil {
		return c, err
	}
	c.Member, err = destination.ReadMembership(
		"Event Properties", p.EventProperties, p.PersonasAudienceKey, func() destination.Membership { return b.Membership(i) })
	return c, err
}

// createCohort creates or renames a cohort. first is the index of its first payload, whose time is that of the creation.
func (b *batch) createCohort(ctx context.Context, cohort destination.Audience, first int) error {
	return b.api.createCohort(ctx, b.Client, cohort, isoTime(b.Payloads[first].Time))
}

func (b *batch) changeMembers(ctx context.Context, cohort destination.Audience, changes []*destination.MemberChange) error {
	return b.api.changeMembers(ctx, b.Client, cohort.ID, changes)
}

// isoTime returns text if Braze can parse it, otherwise its time in ISO 8601.
func isoTime(text string) string {
	if _, err := time.Parse(time.RFC3339, text); err == nil {
		return text
	}
	at, _ := event.ParseTime(text)
	return at.UTC().Format(time.RFC3339Nano)
}
