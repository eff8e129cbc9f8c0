package brazecohorts

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/landfall-dev/landfall/destinations/internal/brazeendpoint"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

// maxIDs is the maximum number of ids in a request, of all kinds, added and removed
// (https://www.braze.com/docs/partners/isv_partners/cohort_import).
const maxIDs = 1000

// api holds the URL and the keys of an instance's requests.
type api struct {
	cohorts      string // the URL of the cohorts endpoint
	partnerKey   string
	clientSecret string
}

// partnerKeyVariable is the name of the environment variable with the partner key. A variable for one region has the suffix _REGION. It is used if the
// settings have no key.
const partnerKeyVariable = "BRAZE_COHORTS_PARTNER_API_KEY"

// newAPI checks the settings beyond their schema. The error is for their author.
func newAPI(s Settings, env destination.Environment) (*api, error) {
	endpoint, err := brazeendpoint.Parse(s.Endpoint)
	if err != nil {
		return nil, err
	}
	key := s.PartnerAPIKey
	if key == "" {
		if key, err = partnerKey(endpoint.Hostname(), env); err != nil {
			return nil, err
		}
	}
	partner := s.PartnerName
	if partner == "" {
		partner = "segment"
	}
	return &api{
		cohorts:      endpoint.String() + "/partners/" + url.PathEscape(partner) + "/cohorts",
		partnerKey:   key,
		clientSecret: s.ClientSecret,
	}, nil
}

// partnerKey returns the partner key for the region of a cluster.
func partnerKey(host string, env destination.Environment) (string, error) {
	names := []string{partnerKeyVariable}
	if region := regionOf(host); region != "" {
		names = []string{partnerKeyVariable + "_" + region, partnerKeyVariable}
	}
	for _, name := range names {
		if key, _ := env(name); key != "" {
			return key, nil
		}
	}
	return "", fmt.Errorf("no partner key for %s: set partner_api_key, or the environment variable %s", host, strings.Join(names, " or "))
}

// regionOf returns the region of a cluster from its host, such as rest.fra-01.braze.eu, or "".
func regionOf(host string) string {
	labels := strings.Split(strings.ToLower(host), ".")
	if len(labels) < 3 || labels[len(labels)-2] != "braze" {
		return ""
	}
	cluster, _, _ := strings.Cut(labels[len(labels)-3], "-")
	switch {
	case labels[len(labels)-1] == "eu":
		return "EU"
	case cluster == "iad" || cluster == "us":
		return "US"
	case cluster == "fra":
		return "EU"
	case cluster == "au" || cluster == "id" || cluster == "jp":
		return strings.ToUpper(cluster)
	}
	return ""
}

// createCohort creates or renames a cohort.
func (a *api) createCohort(ctx context.Context, client destination.Client, cohort destination.Audience, createdAt string) error {
	return a.post(ctx, client, a.cohorts, cohort.ID,
		event.Member{Key: "name", Value: event.NewString(cohort.Name)}, event.Member{Key: "created_at", Value: event.NewString(createdAt)})
}

// changeMembers adds and removes at most maxIDs members.
func (a *api) changeMembers(ctx context.Context, client destination.Client, cohortID string, changes []*destination.MemberChange) error {
	var sides []event.Value
	for _, member := range []bool{true, false} {
		if side, ok := sideOf(changes, member); ok {
			sides = append(sides, side)
		}
	}
	return a.post(ctx, client, a.cohorts+"/users", cohortID, event.Member{Key: "cohort_changes", Value: event.NewArray(sides)})
}

// sideOf returns the additions or the removals; ok is false if there are none.
func sideOf(changes []*destination.MemberChange, member bool) (side event.Value, ok bool) {
	var users, devices, aliases []event.Value
	for _, c := range changes {
		if c.Member != member {
			continue
		}
		switch id := c.Identity; id.Kind {
		case externalID:
			users = append(users, event.NewString(id.Name))
		case deviceID:
			devices = append(devices, event.NewString(id.Name))
		case userAlias:
			aliases = append(aliases, event.NewObject([]event.Member{
				{Key: "alias_name", Value: event.NewString(id.Name)}, {Key: "alias_label", Value: event.NewString(id.Label)},
			}))
		}
	}
	members := []event.Member{
		{Key: "user_ids", Value: event.NewArray(users)},
		{Key: "device_ids", Value: event.NewArray(devices)},
		{Key: "aliases", Value: event.NewArray(aliases)},
	}
	if !member {
		members = append(members, event.Member{Key: "should_remove", Value: event.NewBool(true)})
	}
	return event.NewObject(members), len(users)+len(devices)+len(aliases) > 0
}

// post sends a request about a cohort. Braze expects the keys in the body.
func (a *api) post(ctx context.Context, client destination.Client, url, cohortID string, more ...event.Member) error {
	body := event.NewObject(append([]event.Member{
		{Key: "partner_api_key", Value: event.NewString(a.partnerKey)},
		{Key: "client_secret", Value: event.NewString(a.clientSecret)},
		{Key: "cohort_id", Value: event.NewString(cohortID)},
	}, more...))
	_, err := client.Do(ctx, destination.Request{Method: http.MethodPost, URL: url, JSON: body})
	return err
}
