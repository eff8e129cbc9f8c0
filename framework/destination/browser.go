package destination

import (
	"context"
	"io/fs"
	"net/http"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
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
		if d.Browser != "" && a.Request != nil {
			p.problems.Add(place+"/request", "is not allowed: %s performs the actions in the browser", d.Browser)
		}
		if d.Browser == "" && a.LifecycleHook != "" {
			p.problems.Add(place+"/lifecycleHook", "is only for destinations of mode device with a browser module")
		}
	}
}

// PublicSettings returns the settings that are sent to browsers: those whose field says public.
func (d *Definition) PublicSettings(settings event.Value) event.Value {
	var members []event.Member
	for _, f := range d.Settings {
		public, _ := f.Raw.Get("public").Bool()
		if v := settings.Get(f.Key); public && v.Exists() {
			members = append(members, event.Member{Key: f.Key, Value: v})
		}
	}
	return event.NewObject(members)
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
