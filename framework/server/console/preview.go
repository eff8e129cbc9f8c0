package console

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// placeholderSecret replaces missing environment variables, so that the rest of a form can be checked.
const placeholderSecret = "not-set-yet"

// parseInstance parses the config with instance, which is made from form, as its only destination. lookup resolves environment variables.
func (c *Console) parseInstance(form *setupForm, instance event.Value, extra additions, lookup func(string) (string, bool)) (*config.Config, fault.Problems) {
	f, err := c.readConfigFile()
	if err != nil {
		return nil, fault.ProblemsOf(err)
	}
	base := f.withID(form.Original, form.ID)
	f.root = event.NewObject(setMember(membersOf(f.root), "destinations", event.Value{}))
	root := f.withInstance(0, instance, extra)
	return config.ParseAt(c.File, root.AppendJSON(nil), config.Env{Lookup: lookup, Commands: c.Commands, Base: base})
}

// lookupEnv looks up an environment variable.
func (c *Console) lookupEnv(name string) (string, bool) {
	if c.Lookup != nil {
		return c.Lookup(name)
	}
	return os.LookupEnv(name)
}

// lookupOrPlaceholder is lookupEnv with a placeholder for variables that are not set.
func (c *Console) lookupOrPlaceholder(name string) (string, bool) {
	if v, ok := c.lookupEnv(name); ok && v != "" {
		return v, true
	}
	return placeholderSecret, true
}

// checkForm attaches every problem of the form to its input. Missing environment variables are not problems yet.
func (c *Console) checkForm(form *setupForm) {
	cfg, problems := c.parseInstance(form, form.instanceValue(), form.Added, c.lookupOrPlaceholder)
	_, err := c.BuildPlans(cfg, problems, DryRun, nil)
	form.placeProblems(fault.ProblemsOf(err), "/destinations/0")
}

// previewSample explains the sample event with the open subscription alone, so that errors in others do not hide it.
func (c *Console) previewSample(ctx context.Context, form *setupForm, sample string) previewView {
	e, err := event.Parse([]byte(strings.TrimSpace(sample)))
	if err != nil {
		return previewView{Problem: "The sample is not a valid event: " + err.Error()}
	}
	view := previewView{}
	instance := form.withPlaceholderSecrets()
	if s := form.openSubscription(); s != nil {
		one := setMember(membersOf(instance), "subscriptions", event.NewArray([]event.Value{event.NewObject(setDefaultTrueFlag(membersOf(s.subscriptionValue()), "enabled", true))}))
		cfg, problems := c.parseInstance(form, event.NewObject(setMember(one, "enabled", event.Value{})), form.Added, c.lookupOrPlaceholder)
		sections, err := c.explainEvent(ctx, cfg, problems, e, DryRun)
		view.Explanations = make([]explanationView, 1)
		view.Explanations[0].Subscription = s.Name
		if err == nil && len(sections) == 1 && len(sections[0].Explanations) == 1 {
			view.Explanations = sections[0].Explanations
		}
	}
	return view
}

// openSubscription returns the subscription whose inputs are shown; nil if there is none.
func (f *setupForm) openSubscription() *subscriptionInput {
	if f.Open < 0 || f.Open >= len(f.Subscriptions) {
		return nil
	}
	return f.Subscriptions[f.Open]
}

// formUpdate is what the script replaces in a form: the parts of the page that have changed, by the id of their element, and the rows that are
// hidden.
type formUpdate struct {
	Parts  map[string]string `json:"parts"`
	Hidden map[string]bool   `json:"hidden"`

	console *Console
}

// handlePreview responds to the script with the updated preview and the problems of the form.
func (c *Console) handlePreview(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm() // parameters that cannot be parsed are missing
	submitted, err := c.parseForm(r.PostForm)
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	form := submitted.setupForm
	c.checkForm(form)
	u := formUpdate{Parts: map[string]string{}, Hidden: map[string]bool{}, console: c}
	u.addPart("preview", "preview", c.previewSample(r.Context(), form, r.PostForm.Get("sample")))
	u.addPart("problems", "problems", form.Problems)
	for _, s := range append(form.Auth, form.Settings...) {
		u.addPart("e-"+elementID(s.Name), "errors", s.Errors)
		u.Hidden["row-"+elementID(s.Name)] = s.Hidden
	}
	for _, s := range form.Subscriptions {
		u.addPart("count-s-"+strconv.Itoa(s.Index), "count", s)
		if s.Index == form.Open {
			u.addSubscription(s)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(u) // the client may have disconnected
}

// addPart renders the content of an element with a template of the form.
func (u *formUpdate) addPart(id, name string, data any) {
	var b bytes.Buffer
	if err := u.console.pages.execute(&b, "edit", name, data); err != nil {
		u.console.Log.Error("cannot render console preview", "error", err)
	}
	u.Parts[id] = b.String()
}

// addSubscription adds the problems and the inputs of the subscription that is shown.
func (u *formUpdate) addSubscription(s *subscriptionInput) {
	prefix := "e-s-" + strconv.Itoa(s.Index) + "-"
	u.addPart(prefix+"subscribe", "errors", s.Errors["subscribe"])
	u.addPart(prefix+"syncMode", "errors", s.Errors["syncMode"])
	u.addPart(prefix+"json", "errors", s.Errors["json"])
	u.addPart(prefix+"all", "errors", s.Errors[""])
	for _, in := range s.allFields() {
		id := elementID(in.Name)
		u.addPart("e-"+id, "errors", in.Errors)
		u.addPart("chips-"+id, "chips", in.Chips())
		if in.changed {
			u.addPart("inputs-"+id, "field-inputs", in)
		}
		u.Hidden["row-"+id] = in.Hidden
	}
}

// withPlaceholderSecrets returns the form's instance with a placeholder for each missing secret.
func (f *setupForm) withPlaceholderSecrets() event.Value {
	instance := f.instanceValue()
	settings := membersOf(instance.Get("settings"))
	for _, s := range f.Settings {
		if s.TestInput != "" && instance.Get("settings").Get(s.Field.Key).Kind() == event.Absent {
			settings = setMember(settings, s.Field.Key, event.NewString(placeholderSecret))
		}
	}
	return event.NewObject(setMember(membersOf(instance), "settings", event.NewObject(settings)))
}
