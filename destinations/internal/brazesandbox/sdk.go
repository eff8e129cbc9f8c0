package brazesandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// The endpoint of the SDKs is not documented; this is what the Web SDK 3.5 and 6.13 send and understand.

// sdkPath is where SDKs send their data.
const sdkPath = "/api/v3/data/"

// The errors that the SDKs know. They are sent with a status of success.
const (
	invalidKey  = "invalid_api_key"
	blockedUser = "blacklisted"
	noDevice    = "no_device_identifier"
)

// sdkData is a request of an SDK: what happened on one device since the previous request.
type sdkData struct {
	APIKey      string            `json:"api_key"`
	DeviceID    string            `json:"device_id"`
	Events      []json.RawMessage `json:"events"`
	Attributes  []json.RawMessage `json:"attributes"`
	RespondWith struct {
		UserID   string `json:"user_id"`
		Triggers bool   `json:"triggers"`
		Config   *struct {
			Time float64 `json:"config_time"`
		} `json:"config"`
	} `json:"respond_with"`
}

// allowPages answers the question of a browser whether pages of other origins may send data.
func (a *api) allowPages(w http.ResponseWriter, r *http.Request) {
	setCrossOrigin(w)
	w.Header().Set("Access-Control-Allow-Methods", http.MethodPost)
	w.Header().Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	w.Header().Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

func setCrossOrigin(w http.ResponseWriter) { w.Header().Set("Access-Control-Allow-Origin", "*") }

// receiveSDKData stores the data of an SDK. SDKs learn nothing about invalid objects, so these appear as warnings.
func (a *api) receiveSDKData(w http.ResponseWriter, r *http.Request) {
	setCrossOrigin(w)
	var data sdkData
	if err := json.NewDecoder(r.Body).Decode(&data); err != nil {
		writeResponse(w, messageResponse(http.StatusBadRequest, "The request body must be a JSON object"))
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if problem := a.refuseSDKData(data, r.Header.Get("X-Braze-Api-Key")); problem != "" {
		writeResponse(w, response{http.StatusCreated, map[string]string{"error": problem}})
		return
	}
	a.restUsed = true
	if data.RespondWith.UserID != "" {
		a.users.identifyDevice(data.DeviceID, data.RespondWith.UserID)
	}
	for i, object := range data.Attributes {
		a.storeSDKObject(data.DeviceID, fmt.Sprintf("attributes %d", i), object, a.storeSDKAttributes)
	}
	for i, object := range data.Events {
		a.storeSDKObject(data.DeviceID, fmt.Sprintf("event %d", i), object, a.storeSDKEvent)
	}
	writeResponse(w, response{http.StatusCreated, sdkAnswer(data, time.Now())})
}

// refuseSDKData returns the error of a request that is refused as a whole; "" if there is none.
func (a *api) refuseSDKData(data sdkData, header string) string {
	switch {
	case data.APIKey == "" || data.APIKey != header || !isAccepted(a.config.SDKKeys, data.APIKey):
		return invalidKey
	case data.DeviceID == "":
		return noDevice
	case slices.Contains(a.config.BlockedUsers, data.RespondWith.UserID):
		return blockedUser
	}
	return ""
}

// sdkAnswer returns what an SDK asked for: the configuration of the app and the messages that events trigger, of which there are none.
func sdkAnswer(data sdkData, now time.Time) map[string]any {
	answer := map[string]any{}
	if data.RespondWith.Triggers {
		answer["triggers"] = []any{}
	}
	if c := data.RespondWith.Config; c != nil && c.Time == 0 {
		off := map[string]bool{"enabled": false}
		answer["config"] = map[string]any{
			"time": now.Unix(), "events_blacklist": []string{}, "attributes_blacklist": []string{}, "purchases_blacklist": []string{},
			"content_cards": off, "feature_flags": off, "banners": off,
		}
	}
	return answer
}

// storeSDKObject stores an object of a user, or adds a warning that says what is wrong with it.
func (a *api) storeSDKObject(device, place string, raw json.RawMessage, store func(one *user, raw json.RawMessage) string) {
	var owner struct {
		UserID string `json:"user_id"`
	}
	problem := "the user_id has to be a text"
	switch err := json.Unmarshal(raw, &owner); {
	case len(raw) > maxObject:
		problem = "the object is too large"
	case err == nil && slices.Contains(a.config.BlockedUsers, owner.UserID):
		problem = "the user is blocked"
	case err == nil:
		problem = store(a.users.ownerOf(device, owner.UserID), raw)
	}
	if problem != "" && len(a.warnings) < maxIDs {
		a.warnings = append(a.warnings, fmt.Sprintf("SDK: %s of device %s: %s", place, device, problem))
	}
}

// identifyDevice returns the user of a device. Without an external id, that is the latest user of the device, who is anonymous until an
// external id is set. The anonymous user becomes the user with the external id, or is merged into that user.
func (u *users) identifyDevice(device, externalID string) *user {
	one := u.byDevice[device]
	switch {
	case one != nil && (externalID == "" || one.ExternalID == externalID):
		return one
	case one != nil && one.ExternalID == "":
		u.identifyUser(one, externalID)
		one = u.byExternalID[externalID]
	case externalID != "" && u.byExternalID[externalID] != nil:
		one = u.byExternalID[externalID]
	default:
		one = u.createUser(userRef{ExternalID: externalID})
	}
	u.byDevice[device] = one
	if !slices.Contains(one.Devices, device) {
		one.Devices = append(one.Devices, device)
	}
	return one
}

// ownerOf returns the user of an object. It may be one who has used the device before.
func (u *users) ownerOf(device, externalID string) *user {
	if one := u.byExternalID[externalID]; one != nil {
		return one
	}
	return u.identifyDevice(device, externalID)
}

// storeSDKAttributes sets attributes. Custom ones are under the key custom.
func (a *api) storeSDKAttributes(one *user, raw json.RawMessage) string {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(raw, &fields) // its user has been read from it
	var custom map[string]json.RawMessage
	if fields["custom"] != nil && json.Unmarshal(fields["custom"], &custom) != nil {
		return "custom has to be an object"
	}
	for key, v := range fields {
		if problem := checkSDKAttribute(key, v); problem != "" {
			return problem
		}
	}
	delete(fields, "custom")
	delete(fields, "user_id")
	one.setFields(fields)
	for key, v := range custom {
		one.setCustom(key, v)
	}
	return ""
}

// checkSDKAttribute returns what is wrong with a standard attribute; "" if nothing is. null removes an attribute.
func checkSDKAttribute(key string, v json.RawMessage) string {
	text := stringOf(v)
	switch key {
	case "email_subscribe", "push_subscribe":
		if !slices.Contains([]string{"opted_in", "subscribed", "unsubscribed"}, text) {
			return key + " has to be opted_in, subscribed or unsubscribed"
		}
	case "gender":
		if string(v) != "null" && !slices.Contains([]string{"m", "f", "o", "u", "n", "p"}, text) {
			return "gender has to be m, f, o, u, n or p"
		}
	case "dob":
		if _, err := time.Parse("2006-1-2", text); string(v) != "null" && err != nil {
			return "dob has to be a date such as 1990-4-15"
		}
	case "email", "phone", "first_name", "last_name", "country", "home_city", "language", "image_url":
		if string(v) != "null" && text == "" && string(v) != `""` {
			return key + " has to be a text"
		}
	}
	return ""
}
