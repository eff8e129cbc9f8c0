package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
)

// wizardChoice says which events an instance receives. It is carried from the page of audiences to that of identifiers in the URL, so that
// nothing is lost when the server restarts.
type wizardChoice struct {
	Made      bool     // the user has chosen; otherwise the subscriptions of the config are shown
	All       bool     // all audiences
	Audiences []string // the keys of the audiences
	Options   []wizardOption
	Known     []string // keys of audiences in recent events
}

// wizardOption is a preset or an action that a new subscription can start from.
type wizardOption struct {
	Key, Name, Description, Query string
	Chosen                        bool
}

// Text returns the chosen audiences that recent events do not have, one per line.
func (c wizardChoice) Text() string {
	var others []string
	for _, key := range c.Audiences {
		if !slices.Contains(c.Known, key) {
			others = append(others, key)
		}
	}
	return strings.Join(others, "\n")
}

// IsChosen reports whether an audience is chosen.
func (c wizardChoice) IsChosen(key string) bool { return slices.Contains(c.Audiences, key) }

// Inputs returns the form parameters that repeat the choice.
func (c wizardChoice) Inputs() url.Values {
	q := url.Values{}
	if !c.Made {
		return q
	}
	q.Set("chosen", "1")
	if c.All {
		q.Set("all", "1")
	}
	if len(c.Audiences) > 0 {
		q.Set("keys", strings.Join(c.Audiences, "\n"))
	}
	for _, o := range c.Options {
		if o.Chosen {
			q.Add("option", o.Key)
		}
	}
	return q
}

// maxAudienceKeys limits the audiences of one choice.
const maxAudienceKeys = 200

// wizardChoiceOf reads the choice of a request.
func (c *Console) wizardChoiceOf(ctx context.Context, v wizardView, q url.Values) wizardChoice {
	choice := wizardChoice{Made: q.Get("chosen") != "", All: q.Get("all") != "", Options: wizardOptions(v)}
	if v.IsAudience() {
		choice.Known = c.recentAudiences(ctx)
	}
	if !choice.Made {
		choice.All = true
		return choice
	}
	for line := range strings.Lines(strings.Join(q["audience"], "\n") + "\n" + q.Get("keys")) {
		if key := strings.TrimSpace(line); key != "" && !slices.Contains(choice.Audiences, key) && len(choice.Audiences) < maxAudienceKeys {
			choice.Audiences = append(choice.Audiences, key)
		}
	}
	for i := range choice.Options {
		o := &choice.Options[i]
		o.Chosen = slices.Contains(q["option"], o.Key)
	}
	return choice
}

// wizardOptions returns the presets and, if there are none, the actions of a destination. Automatic presets are chosen.
func wizardOptions(v wizardView) (list []wizardOption) {
	d := v.Entry.Definition
	for i, p := range d.Presets {
		o := wizardOption{Key: "preset:" + strconv.Itoa(i), Name: p.Name, Query: p.Subscribe, Chosen: p.Type == "automatic"}
		if a := d.Action(p.Action); a != nil {
			o.Description = a.Description
		}
		list = append(list, o)
	}
	for _, a := range d.Actions {
		if !a.Hidden && (len(d.Presets) == 0 || !v.IsAudience()) {
			list = append(list, wizardOption{Key: "action:" + a.Key, Name: a.Title, Description: a.Description, Query: a.DefaultSubscription})
		}
	}
	if !slices.ContainsFunc(list, func(o wizardOption) bool { return o.Chosen }) && len(list) > 0 {
		list[0].Chosen = true
	}
	return list
}

// maxRecentEvents limits the events that are searched for audiences.
const maxRecentEvents = 500

// recentAudiences returns the keys of the audiences in recent events.
func (c *Console) recentAudiences(ctx context.Context) (keys []string) {
	if c.Queue == nil {
		return nil
	}
	logged, _, err := c.Queue.Latest(ctx, "", maxRecentEvents)
	if err != nil {
		c.Log.Warn("cannot read recent events", "error", err)
	}
	for _, l := range logged {
		e, err := event.Parse(l.Raw)
		if err != nil {
			continue
		}
		key := e.Value().Get("context").Get("personas").Get("computation_key").Str()
		if key != "" && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// handleWizardAudiences shows which events the instance receives.
func (c *Console) handleWizardAudiences(w http.ResponseWriter, r *http.Request) {
	if v, _, ok := c.wizardInstance(w, r); ok {
		v.Step = "audiences"
		v.Choice = c.wizardChoiceOf(r.Context(), v, r.URL.Query())
		c.renderWizard(w, r, http.StatusOK, v)
	}
}

// handleWizardIdentifiers shows the fields of the chosen subscriptions.
func (c *Console) handleWizardIdentifiers(w http.ResponseWriter, r *http.Request) {
	v, f, ok := c.wizardInstance(w, r)
	if !ok {
		return
	}
	v.Step = "identifiers"
	if v.Choice = c.wizardChoiceOf(r.Context(), v, r.URL.Query()); v.Choice.Made && v.IsAudience() && !v.Choice.All && len(v.Choice.Audiences) == 0 {
		v.Step, v.Error = "audiences", "Enter the key of at least one audience, or choose all audiences."
		c.renderWizard(w, r, http.StatusUnprocessableEntity, v)
		return
	}
	c.chooseSubscriptions(v)
	_, at := f.findInstance(v.ID)
	v.Form.placeProblems(fault.ProblemsOf(c.checkBeforeSave(f, f.withInstance(at, v.Form.instanceValue(), additions{}), false, nil)), pointerOf(at))
	c.renderWizard(w, r, http.StatusOK, v)
}

// chooseSubscriptions adds the subscriptions of the choice to the form. A choice that was made replaces the subscriptions of the config.
func (c *Console) chooseSubscriptions(v wizardView) {
	if !v.Choice.Made && len(v.Form.Subscriptions) > 0 {
		return
	}
	v.Form.Subscriptions = nil
	for _, o := range v.Choice.Options {
		if !o.Chosen {
			continue
		}
		kind, key, _ := strings.Cut(o.Key, ":")
		if n, err := strconv.Atoi(key); kind == "preset" && err == nil {
			v.Form.addPreset(v.Entry.Definition.Presets[n])
		} else {
			v.Form.addAction(key)
		}
	}
	for _, s := range v.Form.Subscriptions {
		if v.IsAudience() && !v.Choice.All && len(v.Choice.Audiences) > 0 {
			s.Subscribe = limitAudiences(s.query(), v.Choice.Audiences)
		}
	}
}

// query returns the filter of the subscription, or that of its action.
func (s *subscriptionInput) query() string {
	if s.Subscribe == "" && s.Action != nil {
		return s.Action.DefaultSubscription
	}
	return s.Subscribe
}

// limitAudiences returns a query for the events of the query that belong to certain audiences.
func limitAudiences(query string, keys []string) string {
	var parts []string
	for _, key := range keys {
		parts = append(parts, "context.personas.computation_key = "+fql.Quote(key))
	}
	audiences := strings.Join(parts, " or ")
	if query == "" {
		return audiences
	}
	return "(" + query + ") and (" + audiences + ")"
}

// readFields reads the mapping of the fields that a page of the wizard shows. changed reports whether other inputs have to be shown.
func (s *subscriptionInput) readFields(q url.Values) (changed bool) {
	for _, in := range s.allFields() {
		if q.Has(in.Name + ".mode") {
			in.readMapping(q)
			changed = changed || in.changed
		}
	}
	return changed
}

// handleWizardMapping saves the subscriptions with the fields that the user has mapped.
func (c *Console) handleWizardMapping(w http.ResponseWriter, r *http.Request) {
	c.saving.Lock()
	defer c.saving.Unlock()
	_ = r.ParseForm() // parameters that cannot be parsed are missing
	v, f, ok := c.wizardInstance(w, r)
	if !ok {
		return
	}
	v.Step = "identifiers"
	v.Choice = c.wizardChoiceOf(r.Context(), v, r.PostForm)
	c.chooseSubscriptions(v)
	q := withCardItems(r.PostForm)
	changed := q.Get("do") != ""
	for _, s := range v.Form.Subscriptions {
		other := s.readFields(q)
		changed = changed || other
	}
	v.Form.updateVisibility()
	if changed { // the user has not seen the new inputs yet
		c.renderWizard(w, r, http.StatusOK, v)
		return
	}
	in, wrong := v.Form.instanceValue(), v.Form.hasErrors()
	_, at := f.findInstance(v.ID)
	var err error
	if !wrong {
		err = c.saveInstance(r.Context(), f, at, in, additions{}, nil)
	}
	if wrong || err != nil {
		v.Form.placeProblems(fault.ProblemsOf(err), pointerOf(at))
		v.Error = "Nothing was saved: with these fields, events would be refused. Correct the fields below."
		c.renderWizard(w, r, http.StatusUnprocessableEntity, v)
		return
	}
	http.Redirect(w, r, Path+"wizard/at/"+segmentOf(v.ID)+"/test", http.StatusSeeOther)
}

// hasErrors reports whether an input of the form has an error.
func (f *setupForm) hasErrors() bool {
	for _, s := range append(f.Auth, f.Settings...) {
		if len(s.Errors) > 0 {
			return true
		}
	}
	return slices.ContainsFunc(f.Subscriptions, func(s *subscriptionInput) bool { return s.ErrorCount() > 0 })
}
