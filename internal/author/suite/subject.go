package suite

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/goleak"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/author/harness"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// subject is a destination under test with its findings.
type subject struct {
	plugin     destination.Plugin
	definition *destination.Definition
	dir        string
	cases      []harness.Case
	stray      string // says where a case of another destination is; "" if there is none
	samples    []sample
	refusals   map[string]string // by action, why the sandbox did not accept an event of a case

	endsWithin time.Duration
	before     goleak.Option   // ignores the goroutines that ran before the checks
	plans      []*runtime.Plan // to close before looking for goroutines

	check    string // the running check
	findings []Finding
}

// sample is an event of a case that the sandbox accepts, with its payload.
type sample struct {
	action   string
	instance config.Instance // with canaries as secrets
	env      event.Value
	event    event.Event
	payload  event.Value
}

func newSubject(p destination.Plugin, dir string) (*subject, error) {
	d, err := p.Load()
	if err != nil {
		return nil, err
	}
	if err := p.Sandbox.Mistakes(nil); err != nil {
		return nil, err
	}
	s := &subject{plugin: p, definition: d, dir: dir, refusals: map[string]string{}}
	files, err := CaseFiles(dir, d.Slug)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := textfile.ReadFile(file)
		if err != nil {
			return nil, err
		}
		cases, err := harness.Parse(file, text)
		if err != nil {
			return nil, err
		}
		for _, c := range cases {
			switch other := c.Body().Get("destination").Str(); {
			case slices.Contains(d.Names(), other):
				s.cases = append(s.cases, c)
			case other != "" && s.stray == "":
				s.stray = fmt.Sprintf("; %s:%d is a case of the destination %q%s", file, c.Line, other, fault.DidYouMean(other, d.Names()))
			}
		}
	}
	for _, c := range s.cases {
		s.addSample(c)
	}
	return s, nil
}

// CaseFiles returns the case files of a destination: in testdata/cases and in fixtures/<slug>/cases of the repository.
func CaseFiles(dir, slug string) (files []string, err error) {
	for _, folder := range []string{
		filepath.Join(dir, "testdata", "cases"), filepath.Join(dir, "..", "..", "fixtures", slug, "cases"),
	} {
		for _, kind := range []string{"*.yaml", "*.json", "*.ndjson"} {
			more, err := textfile.Glob(folder, kind)
			if err != nil {
				return nil, err
			}
			files = append(files, more...)
		}
	}
	return files, nil
}

func (s *subject) addFinding(of, format string, args ...any) {
	s.addFindingAt(s.placeOf(of), of, format, args...)
}

func (s *subject) addFindingAt(place, of, format string, args ...any) {
	s.findings = append(s.findings, Finding{Check: s.check, Of: of, Message: fmt.Sprintf(format, args...), Place: place})
}

// placeOf returns the place of a subject in the definition, such as an action, its field, or a preset; "" if it has none.
func (s *subject) placeOf(of string) string {
	if name, ok := strings.CutPrefix(of, "presets."); ok {
		i := slices.IndexFunc(s.definition.Presets, func(p destination.Preset) bool { return p.Name == name })
		return s.definitionPlace(fmt.Sprintf("/presets/%d", i))
	}
	action, field, _ := strings.Cut(of, ".")
	a := s.definition.Action(action)
	if a == nil {
		return ""
	}
	pointer := "/actions" + fault.PointerKey(action)
	if a.Fields.Get(field) != nil {
		pointer += "/fields" + fault.PointerKey(field)
	}
	return s.definitionPlace(pointer)
}

// definitionPlace returns the place of what a pointer names in the definition.
func (s *subject) definitionPlace(pointer string) string {
	line, column := s.definition.Document.KeyPosition(pointer)
	return fmt.Sprintf("%s:%d:%d", filepath.Join(s.dir, destination.DefinitionFile), line, column)
}

// addSample adds the events of a case that the sandbox accepts, or that browsers send. Cases with a state or with responses are skipped.
func (s *subject) addSample(c harness.Case) {
	body := c.Body()
	instance, err := c.Instance(s.definition)
	if err != nil || body.Get("responses").Exists() || body.Get("state").Exists() || len(instance.Subscriptions) != 1 || s.plugin.Sandbox == nil {
		return
	}
	events, err := c.Events()
	if err != nil {
		return
	}
	instance = s.withCanaries(instance)
	for _, e := range events {
		if s.isDeletion(e) {
			continue
		}
		sm := sample{action: instance.Subscriptions[0].Action, instance: instance, env: body.Get("env"), event: e}
		r, err := s.newRig(sm, nil)
		if err != nil {
			return
		}
		verdict := r.plan.Run(context.Background(), e)[0]
		item, refused := r.plan.Prepare(r.firstSubscription(), e, 0)
		if isAccepted(verdict) && refused == nil && (len(r.sentRequests()) > 0 || s.definition.Browser != "") {
			sm.payload = item.Payload
			s.samples = append(s.samples, sm)
		} else if len(r.sentRequests()) > 0 {
			s.refusals[sm.action] = verdict.Reason
		}
	}
}

// isAccepted reports whether an event was delivered, or is left to the browser.
func isAccepted(v runtime.Verdict) bool {
	return v.Outcome == runtime.Delivered || v.Cause == fault.CauseRunsInBrowser
}

// samplesOf returns the samples of an action.
func (s *subject) samplesOf(action string) (list []sample) {
	for _, sm := range s.samples {
		if sm.action == action {
			list = append(list, sm)
		}
	}
	return list
}

// eachSample calls look for a few samples of each action, one for each configuration in its cases.
func (s *subject) eachSample(look func(of string, sm sample)) {
	const most = 3
	for _, action := range s.definition.ActionKeys() {
		seen := map[string]bool{}
		for _, sm := range s.samplesOf(action) {
			if version := sm.instance.Version(); !seen[version] && len(seen) < most {
				seen[version] = true
				look(action, sm)
			}
		}
	}
}
