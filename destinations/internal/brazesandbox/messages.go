package brazesandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// maxRecipients is the maximum number of recipients in a request.
const maxRecipients = 50

// sendCounts counts what was sent of one campaign or canvas.
type sendCounts struct {
	Requests   int `json:"requests"`
	Recipients int `json:"recipients"` // existing or created users
	Unknown    int `json:"unknown"`    // users that do not exist
	Broadcasts int `json:"broadcasts"`
}

func (a *api) sendCampaign(_ *http.Request, raw json.RawMessage) response {
	return a.triggerSend("campaign", raw)
}

func (a *api) sendCanvas(_ *http.Request, raw json.RawMessage) response {
	return a.triggerSend("canvas", raw)
}

// recipient is a user to whom a campaign or a canvas is sent.
type recipient struct {
	ExternalUserID string          `json:"external_user_id"`
	UserAlias      *alias          `json:"user_alias"`
	Email          string          `json:"email"`
	Prioritization []string        `json:"prioritization"`
	ExistingOnly   *bool           `json:"send_to_existing_only"`
	Attributes     json.RawMessage `json:"attributes"`
}

func (r *recipient) user() userRef {
	return userRef{ExternalID: r.ExternalUserID, UserAlias: r.UserAlias, Email: r.Email}
}

// mayBeCreated reports whether the recipient is created if it does not exist.
func (r *recipient) mayBeCreated() bool { return r.ExistingOnly != nil && !*r.ExistingOnly }

// problem returns why the recipient is refused; "" if it is not.
func (r *recipient) problem() string {
	u := r.user()
	switch {
	case !u.isNamed():
		return "Each recipient must have an external_user_id, a user_alias or an email"
	case u.ExternalID == "" && u.UserAlias == nil && len(r.Prioritization) == 0:
		return "prioritization is required if a recipient is identified by email"
	case r.mayBeCreated() && r.Attributes == nil:
		return "attributes are required if send_to_existing_only is false"
	}
	return ""
}

// triggeredSend is the body of a request that sends a campaign or a canvas.
type triggeredSend struct {
	CampaignID string      `json:"campaign_id"`
	CanvasID   string      `json:"canvas_id"`
	Broadcast  bool        `json:"broadcast"`
	Recipients []recipient `json:"recipients"`
}

// problem returns what is wrong with the recipients, or "".
func (t *triggeredSend) problem() string {
	switch {
	case len(t.Recipients) > maxRecipients:
		return "The max number of ids per request was exceeded"
	case t.Broadcast == (len(t.Recipients) > 0):
		return "Either broadcast must be true or recipients must be given"
	}
	for _, r := range t.Recipients {
		if problem := r.problem(); problem != "" {
			return problem
		}
	}
	return ""
}

// triggerSend sends to recipients, or to all users. A recipient that does not exist gets nothing, unless it may be created.
func (a *api) triggerSend(kind string, raw json.RawMessage) response {
	var body triggeredSend
	if json.Unmarshal(raw, &body) != nil {
		return messageResponse(http.StatusBadRequest, "The request has a field of the wrong type")
	}
	id := body.CampaignID
	if kind == "canvas" {
		id = body.CanvasID
	}
	if id == "" {
		return messageResponse(http.StatusBadRequest, "%s_id is required", kind)
	}
	if problem := body.problem(); problem != "" {
		return messageResponse(http.StatusBadRequest, "%s", problem)
	}
	s := a.sends[kind+" "+id]
	if s == nil {
		s = &sendCounts{}
		a.sends[kind+" "+id] = s
	}
	s.Requests++
	if body.Broadcast {
		s.Broadcasts++
	}
	for _, r := range body.Recipients {
		one := a.users.findUser(r.user())
		if one == nil && r.mayBeCreated() && r.UserAlias == nil {
			one = a.users.createUser(r.user())
		}
		if one == nil {
			s.Unknown++
			continue
		}
		if r.Attributes != nil {
			one.setAttributes(r.Attributes)
		}
		s.Recipients++
	}
	return response{http.StatusCreated, map[string]string{"dispatch_id": fmt.Sprintf("%s-%06d", kind, s.Requests), "message": "success"}}
}

// listCampaigns lists the triggered campaigns and a default one: the sandbox accepts any id.
func (a *api) listCampaigns(*http.Request, json.RawMessage) response {
	return a.listSends("campaign", "campaigns")
}

func (a *api) listCanvases(*http.Request, json.RawMessage) response {
	return a.listSends("canvas", "canvases")
}

// listEntry is a campaign or canvas of a list.
type listEntry struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (a *api) listSends(kind, key string) response {
	list := []listEntry{{"sandbox-" + kind, "A " + kind + " of the sandbox"}}
	for _, name := range slices.Sorted(maps.Keys(a.sends)) {
		if id, ok := strings.CutPrefix(name, kind+" "); ok {
			list = append(list, listEntry{id, "Triggered: " + id})
		}
	}
	return response{http.StatusOK, map[string]any{key: list, "message": "success"}}
}
