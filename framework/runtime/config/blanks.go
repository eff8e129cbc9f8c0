package config

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// mayBeBlank matches the pointers of texts that may be blank: settings, whose fields say what is needed, what an export of Segment leaves
// empty, and a name that has a default.
var mayBeBlank = regexp.MustCompile(`^/destinations/[0-9]+/(settings|audiences|subscriptions|name)(/|$)`)

// checkBlanks adds a problem for each other text that is blank, such as a variable of a deployment that has no value, unless it has a problem
// already. The schema reports empty texts.
func (r *reader) checkBlanks(v event.Value, place string) {
	if mayBeBlank.MatchString(place) {
		return
	}
	if text := v.Str(); text != "" && strings.TrimSpace(text) == "" && !r.hasProblem(place) {
		r.problems.Add(place, "is blank: give a value, or leave it out")
	}
	for key, m := range v.Members() {
		r.checkBlanks(m, place+fault.PointerKey(key))
	}
	for i, item := range v.Items() {
		r.checkBlanks(item, place+"/"+strconv.Itoa(i))
	}
}

func (r *reader) hasProblem(place string) bool {
	return slices.ContainsFunc(r.problems, func(p fault.Problem) bool { return p.Pointer == place })
}

// resolveFilled is resolveSecrets for a text that must not be blank. advice says what to do about one that is.
func (r *reader) resolveFilled(v event.Value, place, advice string) string {
	before := len(r.problems)
	text := r.resolveSecrets(v, place).Str()
	if strings.TrimSpace(text) == "" && v.Str() != "" && len(r.problems) == before {
		r.problems.Add(place, "is empty: %s", advice)
	}
	return text
}

// resolveAuth is resolveSecrets for the credentials of an instance, whose texts must not be blank.
func (r *reader) resolveAuth(v event.Value, place string) event.Value {
	return mapTexts(v, place, func(text, place string) string {
		return r.resolveFilled(event.NewString(text), place, "set a value, or leave it out")
	})
}

// warnOrigins adds a warning for each origin that no browser sends.
func warnOrigins(origins []string, warnings *fault.Problems) {
	for i, text := range origins {
		if text == "*" || text == "null" { // null is the origin of a page without one, such as a file
			continue
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme == "" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil || strings.Contains(text, "*") {
			warnings.Add("/ingest/origins/"+strconv.Itoa(i), "is %q, which is the origin of no page: write a scheme and a host, such as https://www.example.com, or * for all", text)
		}
	}
}

// isReplaced matches the pointers of texts in which ${VARIABLE} is replaced or means something else.
var isReplaced = regexp.MustCompile(`^(/state/(url|key)|/nats/url|/admin/key|/sources/[0-9]+/writeKey|/audienceSyncs/[0-9]+/(from|query)|/destinations/[0-9]+/(settings|auth|audiences|subscriptions)(/.*)?)$`)

// warnVariables adds a warning for each other text with a ${VARIABLE}, which stays as it is.
func warnVariables(v event.Value, place string, warnings *fault.Problems) {
	if isReplaced.MatchString(place) {
		return
	}
	for _, found := range variable.FindAllString(v.Str(), 1) {
		if found != "$$" {
			warnings.Add(place, "contains %s, which is not replaced here: write the value itself", found)
		}
	}
	for key, m := range v.Members() {
		warnVariables(m, place+fault.PointerKey(key), warnings)
	}
	for i, item := range v.Items() {
		warnVariables(item, place+"/"+strconv.Itoa(i), warnings)
	}
}
