// Package s3file reads files from S3 and from servers that speak its protocol.
//
// [Expand] lists the objects that a URL such as s3://BUCKET/exports/ or s3://BUCKET/exports/*.csv names, and [Open] streams one of them. The endpoint, the
// region and the credentials are those of the environment variables that AWS's programs have, see [FromEnvironment].
package s3file

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/landfall-dev/landfall/framework/fault"
)

// scheme begins the URLs of objects.
const scheme = "s3://"

// Client reads the objects of a server.
type Client struct {
	Endpoint    string // such as https://minio.example.com:9000; "" for AWS
	Region      string
	Credentials aws.Credentials // none for public objects
	HTTP        *http.Client
	Retries     int           // attempts after the first one, before the first byte and after each loss of a connection; 4 by default, none if negative
	Stall       time.Duration // how long a response may send nothing before the connection counts as lost; a minute by default
	Pause       time.Duration // before the second attempt; doubled for each further one; half a second by default
}

// FromEnvironment returns the client that the environment variables describe: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, AWS_REGION or AWS_DEFAULT_REGION
// (us-east-1 by default), AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
func FromEnvironment(getenv func(string) string) *Client {
	return &Client{
		Endpoint: cmp.Or(getenv("AWS_ENDPOINT_URL_S3"), getenv("AWS_ENDPOINT_URL")),
		Region:   cmp.Or(getenv("AWS_REGION"), getenv("AWS_DEFAULT_REGION"), "us-east-1"),
		Credentials: aws.Credentials{
			AccessKeyID: getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: getenv("AWS_SESSION_TOKEN"),
		},
	}
}

// IsURL reports whether a name is the URL of objects. The scheme may be in capitals.
func IsURL(name string) bool {
	return len(name) >= len(scheme) && strings.EqualFold(name[:len(scheme)], scheme)
}

// Error is the error of an object or a list. Its text contains neither credentials nor content.
type Error struct {
	URL    string
	Reason string
	Cause  error
}

func (e *Error) Error() string { return e.URL + ": " + e.Reason }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// wildcards are the characters of a pattern.
const wildcards = "*?["

// split returns the bucket and the key of a URL.
func split(address string) (bucket, key string, err error) {
	if IsURL(address) {
		bucket, key, _ = strings.Cut(address[len(scheme):], "/")
	}
	if bucket == "" || strings.ContainsAny(bucket, "/?#@:"+wildcards) {
		return "", "", &Error{URL: address, Reason: "the URL should be like s3://BUCKET/KEY"}
	}
	return bucket, key, nil
}

// Expand returns the URLs of the objects that a URL names, in the order of their keys: one object; those of a folder, if it ends with a slash or names
// only a bucket, without those whose names begin with a dot or an underscore; or those that match a pattern, whose * and ? do not match slashes.
func (c *Client) Expand(ctx context.Context, address string) ([]string, error) {
	bucket, key, err := split(address)
	if err != nil {
		return nil, err
	}
	isPattern := strings.ContainsAny(key, wildcards)
	switch {
	case !isPattern && key != "" && !strings.HasSuffix(key, "/"):
		return []string{address}, nil
	case isPattern:
		if _, err := path.Match(key, ""); err != nil {
			return nil, &Error{address, "the pattern cannot be read", err}
		}
	}
	prefix, delimiter := key, "/"
	if isPattern {
		prefix, delimiter = key[:strings.IndexAny(key, wildcards)], ""
	}
	keys, err := c.list(ctx, address, bucket, prefix, delimiter, func(found string) bool {
		if isPattern {
			matches, _ := path.Match(key, found)
			return matches
		}
		name := strings.TrimPrefix(found, prefix)
		return name != "" && !strings.HasSuffix(name, "/") && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "_")
	})
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, &Error{URL: address, Reason: "no object matches"}
	}
	for i, found := range keys {
		keys[i] = scheme + bucket + "/" + found
	}
	return keys, nil
}

// urlOf returns the URL of a request.
func (c *Client) urlOf(bucket, key string) (*url.URL, error) {
	endpoint := c.Endpoint
	switch {
	case endpoint != "":
	case strings.Contains(bucket, "."): // a certificate for all buckets has no further dots
		endpoint = "https://s3." + c.Region + ".amazonaws.com"
	default:
		endpoint, bucket = "https://"+bucket+".s3."+c.Region+".amazonaws.com", ""
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the endpoint in AWS_ENDPOINT_URL should be a URL such as https://minio.example.com:9000")
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	u.Path = strings.TrimSuffix(u.Path, "/")
	if bucket != "" {
		u.Path += "/" + bucket
	}
	u.Path += "/" + key
	u.RawPath = escapePath(u.Path)
	return u, nil
}

// escapePath escapes all bytes of a path but slashes and the unreserved characters, as signatures do.
func escapePath(p string) string {
	var b strings.Builder
	for i := range len(p) {
		switch c := p[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~/", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// reasonOf says why a request failed without a response.
func reasonOf(err error) string {
	if errors.Is(err, errStalled) {
		return errStalled.Error()
	}
	return cmp.Or(fault.NetworkReason(err), "the connection failed")
}
