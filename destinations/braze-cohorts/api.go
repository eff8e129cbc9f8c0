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

// partnerKeyVariable is the environment variable of the partner key, optionally with _ and a region appended. It is used if the
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

// beginBody returns the start of a request body, with the members of every request, and capacity for more.
func (a *api) beginBody(cohortID string, capacity int) []byte {
	body := append(make([]byte, 0, 1024+capacity), `{"partner_api_key":`...)
	body = event.AppendString(body, a.partnerKey)
	body = append(body, `,"client_secret":`...)
	body = event.AppendString(body, a.clientSecret)
	body = append(body, `,"cohort_id":`...)
	return event.AppendString(body, cohortID)
}

// createCohort creates or renames a cohort.
func (a *api) createCohort(ctx context.Context, client destination.Client, id, name, createdAt string) error {
	body := append(a.beginBody(id, 0), `,"name":`...)
	body = event.AppendString(body, name)
	body = append(body, `,"created_at":`...)
	body = append(event.AppendString(body, createdAt), '}')
	return a.postJSON(ctx, client, a.cohorts, body)
}

// changeMembers adds and removes at most maxIDs members.
func (a *api) changeMembers(ctx context.Context, client destination.Client, id string, changes []*change) error {
	body := append(a.beginBody(id, nameLength*len(changes)), `,"cohort_changes":[`...)
	body, added := appendSide(body, changes, true)
	if removes := hasSide(changes, false); removes && added {
		body = append(body, ',')
	}
	body, _ = appendSide(body, changes, false)
	body = append(body, ']', '}')
	return a.postJSON(ctx, client, a.cohorts+"/users", body)
}

func (a *api) postJSON(ctx context.Context, client destination.Client, url string, body []byte) error {
	_, err := client.Do(ctx, destination.Request{Method: http.MethodPost, URL: url, Body: body})
	return err
}

func hasSide(changes []*change, member bool) bool {
	for _, c := range changes {
		if c.Member == member {
			return true
		}
	}
	return false
}

// appendSide appends the additions or the removals, if there are any.
func appendSide(body []byte, changes []*change, member bool) ([]byte, bool) {
	if !hasSide(changes, member) {
		return body, false
	}
	for i, kind := range []idKind{externalID, deviceID, userAlias} {
		body = append(body, [...]string{`{"user_ids":[`, `],"device_ids":[`, `],"aliases":[`}[i]...)
		first := true
		for _, c := range changes {
			if c.Member != member || c.id.kind != kind {
				continue
			}
			if !first {
				body = append(body, ',')
			}
			first = false
			body = c.id.appendJSON(body)
		}
	}
	if member {
		return append(body, `]}`...), true
	}
	return append(body, `],"should_remove":true}`...), true
}
