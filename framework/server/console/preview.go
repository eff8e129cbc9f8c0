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

// pretended stands for what the environment does not have yet, so that the rest of a form can be checked.
const pretended = "not-set-yet"

// parse reads a form as a config of its own. Secrets are looked up by lookup.
func (c *Console) parse(instance event.Value, more added, lookup func(string) (string, bool)) (*config.Config, fault.Problems) {
	f, err := c.read()
	if err != nil {
		return nil, fault.ProblemsOf(err)
	}
	f.root = event.NewObject(set(membersOf(f.root), "destinations", event.Value{}))
	root := f.with(0, instance, more)
	return config.ParseAt(c.File, root.AppendJSON(nil), config.Env{Lookup: lookup})
}

func (c *Console) lookup(name string) (string, bool) {
	if c.Lookup != nil {
		return c.Lookup(name)
	}
	return os.LookupEnv(name)
}

func (c *Console) pretend(name string) (string, bool) {
	if v, ok := c.lookup(name); ok && v != "" {
		return v, true
	}
	return pretended, true
}

// checkForm puts every mistake of a form under its place. What the environment lacks is none yet.
func (c *Console) checkForm(form *setupForm) {
	cfg, problems := c.parse(form.instance(), form.Added, c.pretend)
	_, err := c.Make(cfg, problems, Nowhere, nil)
	form.place(fault.ProblemsOf(err), "/destinations/0")
}

// tryOut takes a sample through each subscription of a form on its own, so that a mistake in one does not hide the others.
func (c *Console) tryOut(ctx context.Context, form *setupForm, sample string) previewView {
	e, err := event.Parse([]byte(strings.TrimSpace(sample)))
	if err != nil {
		return previewView{Problem: "The sample is no event: " + err.Error()}
	}
	view := previewView{Stories: make([]storyView, len(form.Subs))}
	instance := form.pretending()
	for i, s := range form.Subs {
		one := set(membersOf(instance), "subscriptions", event.NewArray([]event.Value{event.NewObject(setFlag(membersOf(s.subscription()), "enabled", true))}))
		cfg, problems := c.parse(event.NewObject(set(one, "enabled", event.Value{})), form.Added, c.pretend)
		sections, err := c.stories(ctx, cfg, problems, e, Nowhere)
		view.Stories[i].Subscription = s.Name
		if err == nil && len(sections) == 1 && len(sections[0].Stories) == 1 {
			view.Stories[i] = sections[0].Stories[0]
		}
	}
	return view
}

// preview answers the script: what the sample becomes by now, and what is wrong.
func (c *Console) preview(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm() // what cannot be read is not there
	form, _, _, _, err := c.formIn(r.PostForm)
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	c.checkForm(form)
	answer := struct {
		Parts  map[string]string `json:"parts"`
		Hidden map[string]bool   `json:"hidden"`
	}{map[string]string{}, map[string]bool{}}
	part := func(id, name string, data any) {
		var b bytes.Buffer
		if err := c.pages["edit"].ExecuteTemplate(&b, name, data); err != nil {
			c.Log.Error("the console's preview", "error", err)
		}
		answer.Parts[id] = b.String()
	}
	part("preview", "stories", c.tryOut(r.Context(), form, r.PostForm.Get("sample")))
	part("problems", "problems", form.Problems)
	for _, s := range append(form.Auth, form.Settings...) {
		part("e-"+elementID(s.Name), "errors", s.Errors)
		answer.Hidden["row-"+elementID(s.Name)] = s.Hidden
	}
	for _, s := range form.Subs {
		prefix := "e-s-" + strconv.Itoa(s.I) + "-"
		part(prefix+"subscribe", "errors", s.Errors["subscribe"])
		part(prefix+"syncMode", "errors", s.Errors["syncMode"])
		part(prefix+"json", "errors", s.Errors["json"])
		part(prefix+"all", "errors", s.Errors[""])
		for _, in := range s.all() {
			id := elementID(in.Name)
			part("e-"+id, "errors", in.Errors)
			part("chips-"+id, "chips", in.Chips())
			answer.Hidden["row-"+id] = in.Hidden
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // who has gone away needs no answer
}

// pretending is the form's instance with something in the place of each secret that it does not have yet.
func (f *setupForm) pretending() event.Value {
	instance := f.instance()
	settings := membersOf(instance.Get("settings"))
	for _, s := range f.Settings {
		if s.Try != "" && instance.Get("settings").Get(s.Field.Key).Kind() == event.Absent {
			settings = set(settings, s.Field.Key, event.NewString(pretended))
		}
	}
	return event.NewObject(set(membersOf(instance), "settings", event.NewObject(settings)))
}
