package console

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// wizardSteps are the steps from a destination to delivered events. Each step but the first two is a page of an instance in the config.
func wizardSteps() []string {
	return []string{"destination", "connect", "audiences", "identifiers", "test", "on"}
}

// wizardView is the data of a page of the wizard.
type wizardView struct {
	Step        string
	Entry       destination.Entry
	ID          string // "" until the connection is saved
	Name        string
	File        string
	Form        *setupForm
	Entries     []destination.Entry
	Unfinished  []setupRow
	Problems    fault.Problems
	Error       string // why nothing was saved
	Credentials *credentialsView
	CanTest     bool
	HasSandbox  bool
	SandboxOnly bool
	KeyFile     string // the key that the save would make; "" if the config has one
	Choice      wizardChoice
	Test        eventTest
	Done        wizardDone
}

// Steps returns the steps for the list at the top of the page.
func (v wizardView) Steps() (steps []wizardStep) {
	names := map[string]string{"destination": "Destination", "connect": "Connect", "audiences": "Events", "identifiers": "Identifiers", "test": "Test", "on": "Turn on"}
	if v.Entry.Plugin.Audiences != nil || v.Entry.Definition == nil {
		names["audiences"] = "Audiences"
	}
	past := true
	for _, key := range wizardSteps() {
		if key == v.Step {
			past = false
		}
		s := wizardStep{Name: names[key], Current: key == v.Step, Past: past}
		switch {
		case key == "destination":
			s.Link = "wizard"
		case past && v.ID != "":
			s.Link = "wizard/at/" + segmentOf(v.ID) + "/" + key
		}
		steps = append(steps, s)
	}
	return steps
}

// wizardStep is an entry in the list of steps.
type wizardStep struct {
	Name, Link    string
	Current, Past bool
}

// IsAudience reports whether the destination keeps audiences.
func (v wizardView) IsAudience() bool { return v.Entry.Plugin.Audiences != nil }

// Settings returns the settings that most users enter: the required ones and the secrets.
func (v wizardView) Settings() []*settingInput { return v.settings(true) }

// MoreSettings returns the other settings.
func (v wizardView) MoreSettings() []*settingInput { return v.settings(false) }

func (v wizardView) settings(important bool) (list []*settingInput) {
	for _, s := range append(v.Form.Auth, v.Form.Settings...) {
		if v.isImportant(s) == important {
			list = append(list, s)
		}
	}
	return list
}

// isImportant reports whether most users enter a setting. They enter an access token if requests need one: it is used as it is, or instead of an
// OAuth login.
func (v wizardView) isImportant(s *settingInput) bool {
	if s.Name == "auth.accessToken" {
		return v.Entry.Definition.Scheme.NeedsToken() || s.IsStored() || len(s.Errors) > 0
	}
	return s.Field.Required.Always || s.IsSecret() || s.Field.Key == "clientId" || len(s.Errors) > 0
}

// addWizard adds the routes of the wizard.
func (c *Console) addWizard(mux *http.ServeMux) {
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET wizard":                      c.handleWizard,
		"GET wizard/new/{slug}":           c.handleWizardNew,
		"POST wizard/connect":             c.handleWizardConnect,
		"GET wizard/at/{id}/connect":      c.handleWizardReconnect,
		"GET wizard/at/{id}/audiences":    c.handleWizardAudiences,
		"GET wizard/at/{id}/identifiers":  c.handleWizardIdentifiers,
		"POST wizard/at/{id}/identifiers": c.handleWizardMapping,
		"GET wizard/at/{id}/test":         c.handleWizardTest,
		"POST wizard/at/{id}/test":        c.handleWizardTest,
		"POST wizard/at/{id}/on":          c.handleWizardOn,
		"GET wizard/at/{id}/done":         c.handleWizardDone,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+Path+path, handler)
	}
}

// renderWizard shows a page of the wizard.
func (c *Console) renderWizard(w http.ResponseWriter, r *http.Request, status int, v wizardView) {
	v.File, v.SandboxOnly = c.File, c.SandboxOnly
	v.CanTest, v.HasSandbox = v.Entry.Plugin.Test != nil, v.Entry.Plugin.Sandbox != nil
	title := "Set up a destination"
	if v.Entry.Definition != nil {
		title = "Set up " + v.Entry.Definition.Name
	}
	c.renderPage(w, r, status, "wizard", page{Title: title, Section: "setup", Data: v})
}

// handleWizard shows the destinations to choose from, and the instances whose setup is unfinished.
func (c *Console) handleWizard(w http.ResponseWriter, r *http.Request) {
	known := c.knownDestinations()
	v := wizardView{Step: "destination", Entries: c.entriesOf(known)}
	f, err := c.readConfigFile()
	if err != nil {
		v.Problems = fault.ProblemsOf(err)
	}
	for _, in := range f.root.Get("destinations").Items() {
		if in.Get("enabled").Kind() != event.False {
			continue
		}
		if entry, err := known.Find(in.Get("destination").Str()); err == nil {
			v.Unfinished = append(v.Unfinished, setupRow{ID: in.Get("id").Str(), Name: instanceName(in), Destination: entry.Definition.Name, Subscriptions: in.Get("subscriptions").Len()})
		}
	}
	c.renderWizard(w, r, http.StatusOK, v)
}

// instanceName returns the name of an instance for people.
func instanceName(in event.Value) string {
	if name := in.Get("name").Str(); name != "" {
		return name
	}
	return in.Get("id").Str()
}

// handleWizardNew shows the connection of a new instance.
func (c *Console) handleWizardNew(w http.ResponseWriter, r *http.Request) {
	entry, ok := c.findDestination(r.PathValue("slug"))
	f, err := c.readConfigFile()
	if !ok || err != nil {
		c.renderEditError(w, r, err)
		return
	}
	form := newForm(event.NewObject(nil), f.root, entry.Definition)
	form.Name = entry.Definition.Name
	c.renderWizard(w, r, http.StatusOK, wizardView{Step: "connect", Entry: entry, Form: form, Name: form.Name, KeyFile: keyFileFor(f)})
}

// wizardInstance returns the instance in the path of a request. If there is none, it responds and returns false.
func (c *Console) wizardInstance(w http.ResponseWriter, r *http.Request) (v wizardView, f configFile, ok bool) {
	f, err := c.readConfigFile()
	raw, _ := f.findInstance(pathID(r, "id"))
	entry, found := c.findDestination(raw.Get("destination").Str())
	if err != nil || !found {
		c.renderEditError(w, r, err)
		return v, f, false
	}
	return wizardView{Entry: entry, ID: raw.Get("id").Str(), Name: instanceName(raw), Form: newForm(raw, f.root, entry.Definition), KeyFile: keyFileFor(f)}, f, true
}

// handleWizardReconnect shows the connection of an instance in the config.
func (c *Console) handleWizardReconnect(w http.ResponseWriter, r *http.Request) {
	if v, _, ok := c.wizardInstance(w, r); ok {
		v.Step = "connect"
		c.renderWizard(w, r, http.StatusOK, v)
	}
}

// handleWizardConnect tests the credentials that were entered, or saves the connection as a disabled instance.
func (c *Console) handleWizardConnect(w http.ResponseWriter, r *http.Request) {
	c.saving.Lock()
	defer c.saving.Unlock()
	_ = r.ParseForm() // parameters that cannot be parsed are missing
	q := r.PostForm
	entry, ok := c.findDestination(q.Get("slug"))
	f, err := c.readConfigFile()
	if !ok || err != nil {
		c.renderEditError(w, r, err)
		return
	}
	form, at := c.connectionForm(f, entry.Definition, q)
	typed := form.readConnection(q)
	v := wizardView{Step: "connect", Entry: entry, ID: form.Original, Name: form.Name, Form: form, KeyFile: keyFileFor(f)}
	if do := q.Get("do"); do != "save" {
		to := Real // with --sandbox, the server's sandbox
		if do == "credentials-sandbox" && !c.SandboxOnly {
			to = Sandbox
		}
		v.Credentials = c.testCredentials(r.Context(), form, q, to)
		c.renderWizard(w, r, http.StatusOK, v)
		return
	}
	extra := additions{}
	if f.root.Get("sources").Len() == 0 {
		extra.SourceID, extra.SourceKey = "web", newWriteKey()
		form.Sources = nil
	}
	if err := c.saveInstance(r.Context(), f, at, form.instanceValueWithin(extra), extra, typed); err != nil {
		form.placeProblems(fault.ProblemsOf(err), pointerOf(at))
		v.Error = "Nothing was saved. Correct the fields below."
		c.renderWizard(w, r, http.StatusUnprocessableEntity, v)
		return
	}
	http.Redirect(w, r, Path+"wizard/at/"+segmentOf(form.ID)+"/audiences", http.StatusSeeOther)
}

// connectionForm returns the form of the instance whose connection was submitted, or of a new, disabled one, and its place in the config.
func (c *Console) connectionForm(f configFile, d *destination.Definition, q url.Values) (*setupForm, int) {
	raw, at := f.findInstance(q.Get("id"))
	if raw.Kind() == event.Absent {
		raw = event.NewObject(nil)
	}
	form := newForm(raw, f.root, d)
	if form.Name = strings.TrimSpace(q.Get("name")); form.Name == "" {
		form.Name = d.Name
	}
	if form.Original == "" {
		form.ID, form.Enabled = c.freeID(f, idOf(form.Name, d.Slug)), false
	}
	return form, at
}

// readConnection reads the settings of a submitted connection. A typed secret becomes a reference to the state; typed has its value by the
// name there. A secret that is left empty stays as it is.
func (f *setupForm) readConnection(q url.Values) (typed map[string]string) {
	typed = map[string]string{}
	for _, s := range append(f.Auth, f.Settings...) {
		switch text := strings.TrimSpace(q.Get(s.Name)); {
		case s.IsSecret() && q.Get(s.TestInput) != "":
			name := f.ID + "/" + strings.TrimPrefix(strings.TrimPrefix(s.Name, "set."), "auth.")
			typed[name] = q.Get(s.TestInput)
			s.Text = "secret:" + name
		case s.IsSecret() && text == "":
			s.Text = inputText(s.fileValue)
			if s.Literal {
				s.Text = ""
			}
		default:
			s.readValue(q)
		}
	}
	f.updateVisibility()
	return typed
}

// idOf returns an id made from a name: lower-case letters, digits and hyphens. It returns fallback for a name without any.
func idOf(name, fallback string) string {
	var b strings.Builder
	letters := strings.NewReplacer("ß", "ss", "æ", "ae", "œ", "oe", "ø", "o", "ł", "l", "đ", "d", "ð", "d", "þ", "th", "ı", "i") // those that NFD keeps
	for _, r := range norm.NFD.String(letters.Replace(strings.ToLower(name))) {
		switch {
		case r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			b.WriteRune(r)
		case unicode.Is(unicode.Mn, r): // an accent, which NFD separates from its letter
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	const maxID = 60
	id := b.String()
	id = strings.Trim(id[:min(len(id), maxID)], "-")
	if id == "" {
		return fallback
	}
	return id
}
