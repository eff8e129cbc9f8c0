package destination

import "github.com/landfall-dev/landfall/framework/event"

// noteSettings keeps the settings of the audience of payload i, unless an event before it has some.
func (d *declaredMembers) noteSettings(i int, audienceID string) {
	if own := eventSettings(d.eventOf(i)); own.Kind() == event.Object && !d.settings[audienceID].Exists() {
		d.settings[audienceID] = own
	}
}

// settingsOf returns the settings of an audience: those of the first event of the batch, unless audiences share requests and its own events
// have some.
func (d *declaredMembers) settingsOf(audienceID string) event.Value {
	if own := d.settings[audienceID]; own.Exists() && d.shares {
		return own
	}
	return eventSettings(d.eventOf(0))
}

// eventSettings returns the settings that an event has for its audience.
func eventSettings(e event.Value) event.Value {
	return e.Get("context").Get("personas").Get("audience_settings")
}

// likeSettings returns the indexes of changes whose audiences have the same settings, in order. Changes of one audience are together.
func (d *declaredMembers) likeSettings(changes []*MemberChange) (list [][]int) {
	places := map[string]int{}
	for i, c := range changes {
		key := ""
		if d.shares {
			key = d.settingsOf(c.Audience.ID).JSON()
		}
		at, ok := places[key]
		if !ok {
			at = len(list)
			places[key] = at
			list = append(list, nil)
		}
		list[at] = append(list[at], i)
	}
	return list
}
