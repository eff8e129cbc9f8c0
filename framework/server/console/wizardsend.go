package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// Delivered reports whether the destination accepted the event.
func (t eventTest) Delivered() bool {
	for _, s := range t.Sections {
		for _, e := range s.Explanations {
			if t.SentTo != "" && e.Outcome == "delivered" {
				return true
			}
		}
	}
	return false
}

// handleWizardTest shows the test event, and sends it to the sandbox or to the destination.
func (c *Console) handleWizardTest(w http.ResponseWriter, r *http.Request) {
	v, _, ok := c.wizardInstance(w, r)
	if !ok {
		return
	}
	v.Step = "test"
	if v.Test.Event = r.PostFormValue("event"); v.Test.Event == "" {
		v.Test.Event = testEventFor(v)
	}
	if do := r.PostFormValue("do"); do != "" && do != "cancel" {
		c.runWizardTest(r.Context(), &v, do)
	}
	c.renderWizard(w, r, http.StatusOK, v)
}

// runWizardTest runs the event through the instance alone, as if it were turned on.
func (c *Console) runWizardTest(ctx context.Context, v *wizardView, do string) {
	to, err := c.runTest(ctx, &v.Test, do, func() (*config.Config, fault.Problems) {
		instance := event.NewObject(setMember(membersOf(v.Form.raw), "enabled", event.Value{}))
		return c.parseInstance(v.Form, instance, additions{}, c.lookupEnv)
	})
	if to == Real {
		c.Guard.Record(ctx, "event.send", err, "instance", v.ID)
	}
}

// testEventFor returns a built-in event that the instance's first subscription matches, with a key of its audiences.
func testEventFor(v wizardView) string {
	sample, text := builtinSamples[0].Text, ""
	for _, s := range v.Form.Subscriptions {
		for _, key := range audiencesIn(s.query()) {
			text = strings.ReplaceAll(sample, `"vip"`, event.NewString(key).JSON())
			return strings.ReplaceAll(text, "aud_vip", "aud_test")
		}
	}
	if key := v.Form.matchingSample(builtinSamples); key != "" {
		_, sample = chooseSample(builtinSamples, key)
	}
	return sample
}

// audiencesIn returns the audiences that limitAudiences has put into a query.
func audiencesIn(query string) (keys []string) {
	for _, part := range strings.Split(query, "context.personas.computation_key = ")[1:] {
		var key string
		if err := json.NewDecoder(strings.NewReader(part)).Decode(&key); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// handleWizardOn enables the instance.
func (c *Console) handleWizardOn(w http.ResponseWriter, r *http.Request) {
	c.saving.Lock()
	defer c.saving.Unlock()
	v, f, ok := c.wizardInstance(w, r)
	if !ok {
		return
	}
	_, at := f.findInstance(v.ID)
	in := event.NewObject(setMember(membersOf(v.Form.raw), "enabled", event.Value{}))
	since := time.Now()
	if len(v.Form.Subscriptions) == 0 {
		v.Step, v.Error = "test", "Choose which events to send first: the instance has no subscriptions."
		c.renderWizard(w, r, http.StatusUnprocessableEntity, v)
		return
	}
	if err := c.saveInstance(r.Context(), f, at, in, additions{}, nil); err != nil {
		v.Step, v.Error, v.Test.Problems = "test", "The instance was not turned on.", fault.ProblemsOf(err)
		c.renderWizard(w, r, http.StatusUnprocessableEntity, v)
		return
	}
	http.Redirect(w, r, fmt.Sprintf("%swizard/at/%s/done?since=%d", Path, segmentOf(v.ID), since.UnixMilli()), http.StatusSeeOther)
}

// wizardDone is the last page: how to send events, and whether the first one has arrived.
type wizardDone struct {
	Source, WriteKey string
	KeyName          string // the reference that the config has in place of the key
	Host             string
	Waiting          string // path of the live part
	HasQueue         bool
	First            *firstEvent
}

// firstEvent is the first event since the instance was turned on.
type firstEvent struct {
	At    time.Time
	Title string
	Link  string
}

// handleWizardDone shows how to send events, and waits for the first one.
func (c *Console) handleWizardDone(w http.ResponseWriter, r *http.Request) {
	var millis int64
	_, _ = fmt.Sscan(r.FormValue("since"), &millis) // without it, any event counts
	done := wizardDone{HasQueue: c.Queue != nil, First: c.firstEventSince(r.Context(), time.UnixMilli(millis))}
	if r.FormValue("part") != "" { // asked for every two seconds, so that it does not read the config
		c.renderPart(w, "wizard", "waiting", done)
		return
	}
	v, f, ok := c.wizardInstance(w, r)
	if !ok {
		return
	}
	done.Host, done.Waiting = c.ingestURL(r), fmt.Sprintf("%swizard/at/%s/done?part=1&since=%d", Path, segmentOf(v.ID), millis)
	for _, s := range f.root.Get("sources").Items() {
		if v.takesSource(s.Get("id").Str()) {
			done.Source, done.WriteKey = s.Get("id").Str(), s.Get("writeKey").Text()
			break
		}
	}
	if reference.MatchString(done.WriteKey) {
		done.KeyName, done.WriteKey = done.WriteKey, "WRITE_KEY"
	}
	v.Step, v.Done = "on", done
	c.renderWizard(w, r, http.StatusOK, v)
}

// takesSource reports whether the instance receives events of a source.
func (v wizardView) takesSource(id string) bool {
	chosen := false
	for _, s := range v.Form.Sources {
		if chosen = chosen || s.On; s.On && s.ID == id {
			return true
		}
	}
	return !chosen
}

// firstEventSince returns the first of the latest events that was accepted at a time or later; nil if there is none.
func (c *Console) firstEventSince(ctx context.Context, since time.Time) *firstEvent {
	if c.Queue == nil {
		return nil
	}
	logged, _, err := c.Queue.Latest(ctx, "", maxSamples)
	if err != nil {
		c.Log.Warn("cannot read recent events", "error", err)
	}
	var first *delivery.StoredEvent
	for i := range logged {
		if !logged[i].At.Before(since) {
			first = &logged[i] // the newest is first in the list
		}
	}
	if first == nil {
		return nil
	}
	return &firstEvent{first.At, eventTitle(*first), fmt.Sprintf("events/%d/%d", first.Seq, first.Index)}
}

// ingestURL returns the URL of the tracking API for the reader of a page.
func (c *Console) ingestURL(r *http.Request) string {
	if c.IngestURL == nil {
		return "http://127.0.0.1:8080"
	}
	return c.IngestURL(r)
}
