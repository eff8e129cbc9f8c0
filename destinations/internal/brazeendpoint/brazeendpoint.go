// Package brazeendpoint parses the REST endpoint of a Braze cluster in the settings of Braze destinations. It holds no state.
package brazeendpoint

import (
	"fmt"
	"net/url"
)

const example = "such as https://rest.iad-01.braze.com"

// Parse parses the REST endpoint. The URL has no path, no query and no user. The error is for the author of the settings.
func Parse(text string) (*url.URL, error) {
	endpoint, err := url.Parse(text)
	if err != nil || endpoint.Scheme != "https" || endpoint.Host == "" {
		return nil, fmt.Errorf("REST Endpoint should be an https URL "+example+" but is %q", text)
	}
	if endpoint.Path != "" && endpoint.Path != "/" || endpoint.RawQuery != "" || endpoint.User != nil {
		return nil, fmt.Errorf("REST Endpoint should be a bare https URL " + example + ", without a path, a query or a user")
	}
	return &url.URL{Scheme: endpoint.Scheme, Host: endpoint.Host}, nil
}
