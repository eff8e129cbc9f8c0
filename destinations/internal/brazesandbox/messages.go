package brazesandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// maxRecipients is how many recipients a request may have.
const maxRecipients = 50

// send is what was triggered of one campaign or canvas.
type send struct {
	Requests   int `json:"requests"`
	Recipients int `json:"recipients"` // those that exist, or are created
	Unknown    int `json:"unknown"`    // those that do not exist
	Broadcasts int `json:"broadcasts"`
}

func (a *api) sendCampaign(_ *http.Request, raw json.RawMessage) answer {
	return a.trigger("campaign", raw)
}

func (a *api) sendCanvas(_ *http.Request, raw json.RawMessage) answer {
	return a.trigger("canvas", raw)
}

// trigger sends to recipients, or to everybody. A recipient that does not exist gets nothing, unless it may be created.
func (a *api) trigger(kind string, raw json.RawMessage) answer {
	var body struct {
		CampaignID string `json:"campaign_id"`
		CanvasID   string `json:"canvas_id"`
		Broadcast  bool   `json:"broadcast"`
		Recipients []struct {
			ExternalUserID string          `json:"external_user_id"`
			UserAlias      *alias          `json:"user_alias"`
			Email          string          `json:"email"`
			Prioritization []string        `json:"prioritization"`
			ExistingOnly   *bool           `json:"send_to_existing_only"`
			Attributes     json.RawMessage `json:"attributes"`
		} `json:"recipients"`
	}
	err := json.Unmarshal(raw, &body)
	id := body.CampaignID
	if kind == "canvas" {
		id = body.CanvasID
	}
	switch {
	case err != nil:
		return say(http.StatusBadRequest, "The request has a field of the wrong type")
	case id == "":
		return say(http.StatusBadRequest, "%s_id is required", kind)
	case len(body.Recipients) > maxRecipients:
		return say(http.StatusBadRequest, "The max number of ids per request was exceeded")
	case body.Broadcast == (len(body.Recipients) > 0):
		return say(http.StatusBadRequest, "Either broadcast must be true or recipients must be given")
	}
	for _, r := range body.Recipients {
		w := who{ExternalID: r.ExternalUserID, UserAlias: r.UserAlias, Email: r.Email}
		switch {
		case !w.named():
			return say(http.StatusBadRequest, "Each recipient must have an external_user_id, a user_alias or an email")
		case w.ExternalID == "" && w.UserAlias == nil && len(r.Prioritization) == 0:
			return say(http.StatusBadRequest, "prioritization is required where a recipient is named by email")
		case r.ExistingOnly != nil && !*r.ExistingOnly && r.Attributes == nil:
			return say(http.StatusBadRequest, "attributes are required where send_to_existing_only is false")
		}
	}
	s := a.sends[kind+" "+id]
	if s == nil {
		s = &send{}
		a.sends[kind+" "+id] = s
	}
	s.Requests++
	if body.Broadcast {
		s.Broadcasts++
	}
	for _, r := range body.Recipients {
		w := who{ExternalID: r.ExternalUserID, UserAlias: r.UserAlias, Email: r.Email}
		one := a.users.find(w)
		if one == nil && r.ExistingOnly != nil && !*r.ExistingOnly && w.UserAlias == nil {
			one = a.users.create(w)
		}
		if one == nil {
			s.Unknown++
			continue
		}
		if r.Attributes != nil {
			one.set(r.Attributes)
		}
		s.Recipients++
	}
	return answer{http.StatusCreated, map[string]string{"dispatch_id": fmt.Sprintf("%s-%06d", kind, s.Requests), "message": "success"}}
}

// listCampaigns and listCanvases list what has been triggered, and one more to begin with: the sandbox takes any id.
func (a *api) listCampaigns(*http.Request, json.RawMessage) answer {
	return a.list("campaign", "campaigns")
}

func (a *api) listCanvases(*http.Request, json.RawMessage) answer {
	return a.list("canvas", "canvases")
}

// listed is a campaign or canvas of a list.
type listed struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (a *api) list(kind, key string) answer {
	list := []listed{{"sandbox-" + kind, "A " + kind + " of the sandbox"}}
	for _, name := range slices.Sorted(maps.Keys(a.sends)) {
		if id, ok := strings.CutPrefix(name, kind+" "); ok {
			list = append(list, listed{id, "Triggered: " + id})
		}
	}
	return answer{http.StatusOK, map[string]any{key: list, "message": "success"}}
}
