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

// maxIDs is how many ids Braze takes in one request, all kinds and both sides together
// (https://www.braze.com/docs/partners/isv_partners/cohort_import).
const maxIDs = 1000

// api is where an instance's requests go and the keys they carry.
type api struct {
	cohorts      string // the URL of the cohorts endpoint
	partnerKey   string
	clientSecret string
}

// partnerKeyVariable holds the partner key where the settings have none: with a region behind it, or alone.
const partnerKeyVariable = "BRAZE_COHORTS_PARTNER_API_KEY"

// newAPI checks what the schema of the settings cannot see. The error is for the person who wrote them.
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

// partnerKey finds the partner key of the region that a cluster is in.
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
	return "", fmt.Errorf("there is no partner key for %s: set partner_api_key, or the environment variable %s", host, strings.Join(names, " or "))
}

// regionOf is the region of a cluster by its host, such as rest.fra-01.braze.eu; "" where that does not say it.
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

// keys opens a request body with what every request carries, and room for more.
func (a *api) keys(cohortID string, room int) []byte {
	body := append(make([]byte, 0, 1024+room), `{"partner_api_key":`...)
	body = event.AppendString(body, a.partnerKey)
	body = append(body, `,"client_secret":`...)
	body = event.AppendString(body, a.clientSecret)
	body = append(body, `,"cohort_id":`...)
	return event.AppendString(body, cohortID)
}

// createCohort creates a cohort or renames it.
func (a *api) createCohort(ctx context.Context, client destination.Client, id, name, createdAt string) error {
	body := append(a.keys(id, 0), `,"name":`...)
	body = event.AppendString(body, name)
	body = append(body, `,"created_at":`...)
	body = append(event.AppendString(body, createdAt), '}')
	return a.post(ctx, client, a.cohorts, body)
}

// changeMembers adds and removes members; at most maxIDs of them.
func (a *api) changeMembers(ctx context.Context, client destination.Client, id string, changes []*change) error {
	body := append(a.keys(id, nameLength*len(changes)), `,"cohort_changes":[`...)
	body, added := appendSide(body, changes, true)
	if removes := needsSide(changes, false); removes && added {
		body = append(body, ',')
	}
	body, _ = appendSide(body, changes, false)
	body = append(body, ']', '}')
	return a.post(ctx, client, a.cohorts+"/users", body)
}

func (a *api) post(ctx context.Context, client destination.Client, url string, body []byte) error {
	_, err := client.Do(ctx, destination.Request{Method: http.MethodPost, URL: url, Body: body})
	return err
}

func needsSide(changes []*change, member bool) bool {
	for _, c := range changes {
		if c.Member == member {
			return true
		}
	}
	return false
}

// appendSide appends the adds or the removes, and nothing where there are none.
func appendSide(body []byte, changes []*change, member bool) ([]byte, bool) {
	if !needsSide(changes, member) {
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
			body = c.id.append(body)
		}
	}
	if member {
		return append(body, `]}`...), true
	}
	return append(body, `],"should_remove":true}`...), true
}
