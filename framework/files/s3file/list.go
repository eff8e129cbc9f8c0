package s3file

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
)

// Limits of a list.
const (
	maxListed  = 10_000   // objects that match
	maxVisited = 1000_000 // objects below the prefix
)

// listPage is a page of a list of objects.
type listPage struct {
	EncodingType          string
	IsTruncated           bool
	NextContinuationToken string
	Contents              []struct{ Key string }
}

// list returns the keys of the objects below a prefix that a function selects, in order.
func (c *Client) list(ctx context.Context, address, bucket, prefix, delimiter string, selects func(key string) bool) ([]string, error) {
	var keys []string
	query := url.Values{"list-type": {"2"}, "prefix": {prefix}, "encoding-type": {"url"}}
	if delimiter != "" {
		query.Set("delimiter", delimiter)
	}
	for visited := 0; ; {
		page, err := c.listPage(ctx, bucket, query)
		if err != nil {
			return nil, described(address, err)
		}
		for _, object := range page.Contents {
			key := object.Key
			if page.EncodingType == "url" {
				if key, err = url.QueryUnescape(key); err != nil {
					return nil, &Error{address, "the server lists a key that cannot be read", err}
				}
			}
			if selects(key) {
				keys = append(keys, key)
			}
		}
		visited += len(page.Contents)
		switch {
		case len(keys) > maxListed:
			return nil, &Error{URL: address, Reason: fmt.Sprintf("more than %d objects match: choose a longer prefix", maxListed)}
		case !page.IsTruncated:
			return keys, nil
		case visited > maxVisited || page.NextContinuationToken == "" || page.NextContinuationToken == query.Get("continuation-token"):
			return nil, &Error{URL: address, Reason: fmt.Sprintf("there are more than %d objects to look at: choose a longer prefix before the first of the characters %s", maxVisited, wildcards)}
		}
		query.Set("continuation-token", page.NextContinuationToken)
	}
}

// listPage returns one page of a list.
func (c *Client) listPage(ctx context.Context, bucket string, query url.Values) (*listPage, error) {
	response, err := c.get(ctx, bucket, "", query, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	page := &listPage{}
	if err := xml.Unmarshal(text, page); err != nil {
		return nil, errors.Join(&Error{URL: scheme + bucket, Reason: "the server's answer is no list of objects: is AWS_ENDPOINT_URL the address of a server of S3?"}, err)
	}
	return page, nil
}
