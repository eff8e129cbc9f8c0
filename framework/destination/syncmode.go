package destination

import (
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// SyncMode describes the sync modes that an action offers: how it treats new, updated and deleted records of reverse ETL.
type SyncMode struct {
	Label       string
	Description string
	Default     string // used if a subscription sets none; may be ""
	Choices     []SyncModeChoice
}

// SyncModeChoice is one sync mode that an action offers.
type SyncModeChoice struct {
	Label string
	Value string // add, update, upsert, delete or mirror
}

// Modes returns the values of the choices.
func (s *SyncMode) Modes() []string {
	modes := make([]string, len(s.Choices))
	for i, c := range s.Choices {
		modes[i] = c.Value
	}
	return modes
}

// Offers reports whether mode is one of the choices.
func (s *SyncMode) Offers(mode string) bool {
	for _, c := range s.Choices {
		if c.Value == mode {
			return true
		}
	}
	return false
}

// parseSyncMode reads the sync modes of an action; nil if it has none.
func (p *parser) parseSyncMode(v event.Value, place string) *SyncMode {
	if v.Kind() == event.Absent {
		return nil
	}
	s := &SyncMode{Label: v.Get("label").Str(), Description: v.Get("description").Str(), Default: v.Get("default").Str()}
	for _, c := range v.Get("choices").Items() {
		s.Choices = append(s.Choices, SyncModeChoice{Label: c.Get("label").Str(), Value: c.Get("value").Str()})
	}
	if s.Default != "" && !s.Offers(s.Default) {
		p.problems.Add(place+"/default", "is not one of the choices%s", fault.DidYouMean(s.Default, s.Modes()))
	}
	return s
}
