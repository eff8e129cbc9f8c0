package destination

import (
	"context"
	"io/fs"
	"net/http"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// deviceMode is the mode of destinations whose actions run in the browser.
const deviceMode = "device"

// checkBrowser checks what only destinations of mode device may have.
func (p *parser) checkBrowser() {
	d := p.d
	if d.Browser != "" && d.Mode != deviceMode {
		p.problems.Add("/browser", "is only for the mode device, but the mode is %s", d.Mode)
	}
	for _, a := range d.Actions {
		place := "/actions" + fault.PointerKey(a.Key)
		if d.Browser != "" && a.IsDeclared() {
			p.problems.Add(place+"/request", "is not allowed: %s performs the actions in the browser", d.Browser)
		}
		if d.Browser == "" && a.LifecycleHook != "" {
			p.problems.Add(place+"/lifecycleHook", "is only for destinations of mode device with a browser module")
		}
	}
}

// PublicSettings returns the settings that are sent to browsers: those whose field says public. Of their objects, nested passwords and keys
// that usually name a secret are left out unless their own field says public.
func (d *Definition) PublicSettings(settings event.Value) event.Value {
	var members []event.Member
	for i := range d.Settings {
		f := &d.Settings[i]
		if v := settings.Get(f.Key); isPublic(f) && v.Exists() {
			members = append(members, event.Member{Key: f.Key, Value: publicValue(f.Properties, v)})
		}
	}
	return event.NewObject(members)
}

func isPublic(f *fieldschema.Field) bool {
	public, _ := f.Raw.Get("public").Bool()
	return public
}

// publicValue returns a public value without what it hides. properties are the fields of its objects.
func publicValue(properties fieldschema.Fields, v event.Value) event.Value {
	switch v.Kind() {
	case event.Array:
		var items []event.Value
		for _, item := range v.Items() {
			items = append(items, publicValue(properties, item))
		}
		return event.NewArray(items)
	case event.Object:
		var members []event.Member
		for key, m := range v.Members() {
			var inner fieldschema.Fields
			f := properties.Get(key)
			if f != nil {
				inner = f.Properties
			}
			if !isHiddenInside(f, key) {
				members = append(members, event.Member{Key: key, Value: publicValue(inner, m)})
			}
		}
		return event.NewObject(members)
	}
	return v
}

// isHiddenInside reports whether a member of a public object is not sent to browsers. f is nil for a key without a field.
func isHiddenInside(f *fieldschema.Field, key string) bool {
	if f == nil {
		return httpx.IsSecretName(key)
	}
	if f.Raw.Get("public").Exists() {
		return !isPublic(f)
	}
	return f.Type == fieldschema.Password || httpx.IsSecretName(key)
}

// BrowserModule returns the source of the module that performs the actions in the browser.
func (p Plugin) BrowserModule(d *Definition) ([]byte, error) {
	return fs.ReadFile(p.Definition, d.Browser)
}

// checkBrowserModule checks that the module of a definition exists, and that no action has a handler in Go, which would never run.
func (p Plugin) checkBrowserModule(d *Definition) error {
	if d.Browser == "" {
		return nil
	}
	if _, err := p.BrowserModule(d); err != nil {
		return d.problemAt("/browser", "cannot be read: %v", err)
	}
	for key := range p.Actions {
		return d.problemAt("/actions"+fault.PointerKey(key), "runs in the browser, but the plugin has a handler for it")
	}
	return nil
}

// browserAction returns the action that the server performs for an event that browsers handle themselves: it sends nothing.
func browserAction() Action {
	return Action{batches: true, perform: func(_ context.Context, in Input) (*MultiStatus, error) {
		ms := NewMultiStatus(len(in.Payloads))
		for i := range in.Payloads {
			ms.Set(i, Result{Outcome: Skipped, Status: http.StatusOK, Cause: fault.CauseRunsInBrowser, Reason: fault.CauseRunsInBrowser.Text(), Sent: in.Payloads[i]})
		}
		return ms, nil
	}}
}
