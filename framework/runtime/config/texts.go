package config

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// mayBeBlank matches the pointers of texts that may be blank: settings, whose fields say what is needed, what an export of Segment leaves
// empty, and a name that has a default.
var mayBeBlank = regexp.MustCompile(`^/destinations/[0-9]+/(settings|audiences|subscriptions|name)(/|$)`)

// mayHaveLines matches the pointers of texts that may have several lines, such as queries and private keys.
var mayHaveLines = regexp.MustCompile(`^(/audienceSyncs/[0-9]+/query|/destinations/[0-9]+/auth/.*)$`)

// checkTexts adds a problem for each other text that is blank, such as a variable of a deployment that has no value, or that contains a control
// character, unless it has a problem already. The schema reports empty texts.
func (r *reader) checkTexts(v event.Value, place string) {
	if mayBeBlank.MatchString(place) {
		return
	}
	if text := v.Str(); text != "" && !r.hasProblem(place) {
		if strings.TrimSpace(text) == "" {
			r.problems.Add(place, "is blank: give a value, or leave it out")
		} else {
			r.checkControls(text, place)
		}
	}
	for key, m := range v.Members() {
		r.checkTexts(m, place+fault.PointerKey(key))
	}
	for i, item := range v.Items() {
		r.checkTexts(item, place+"/"+strconv.Itoa(i))
	}
}

// checkControls adds a problem for a text with a control character. Ids, keys, URLs and paths with one never match what clients, remotes and the
// system use.
func (r *reader) checkControls(text, place string) {
	multiline := mayHaveLines.MatchString(place)
	i := strings.IndexFunc(text, func(c rune) bool { return unicode.IsControl(c) && !(multiline && strings.ContainsRune("\t\r\n", c)) })
	if i < 0 {
		return
	}
	switch c := []rune(text[i:])[0]; c {
	case '\n', '\r':
		r.problems.Add(place, "contains a line break, which cannot be used here: write it on one line")
	default:
		r.problems.Add(place, "contains the control character %U, which cannot be used here: remove it", c)
	}
}

func (r *reader) hasProblem(place string) bool {
	return slices.ContainsFunc(r.problems, func(p fault.Problem) bool { return p.Pointer == place })
}

// resolveFilled is resolveSecrets for a text that must not be blank or contain control characters. advice says what to do about one that is blank.
func (r *reader) resolveFilled(v event.Value, place, advice string) string {
	before := len(r.problems)
	text := r.resolveSecrets(v, place).Str()
	switch {
	case len(r.problems) > before:
	case strings.TrimSpace(text) == "" && v.Str() != "":
		r.problems.Add(place, "is empty: %s", advice)
	default:
		r.checkControls(text, place)
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

// mayHaveBraces matches those of them in which ${ may have a meaning of its own, such as in a template of the destination.
var mayHaveBraces = regexp.MustCompile(`^(/audienceSyncs/[0-9]+/query|/destinations/[0-9]+/subscriptions(/.*)?)$`)

// warnVariables adds a warning for each other text with a ${VARIABLE}, which stays as it is, and for each text with a ${ that begins no variable.
func warnVariables(v event.Value, place string, warnings *fault.Problems) {
	if isReplaced.MatchString(place) {
		warnBraces(v, place, warnings)
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

// warnBraces adds a warning for each text with a ${ that begins no variable.
func warnBraces(v event.Value, place string, warnings *fault.Problems) {
	if mayHaveBraces.MatchString(place) {
		return
	}
	if strings.Contains(variable.ReplaceAllString(v.Str(), ""), "${") {
		warnings.Add(place, "contains ${ without the name of a variable, which stays as it is: write ${NAME} or ${NAME:-default}, or $${ for the text")
	}
	for key, m := range v.Members() {
		warnBraces(m, place+fault.PointerKey(key), warnings)
	}
	for i, item := range v.Items() {
		warnBraces(item, place+"/"+strconv.Itoa(i), warnings)
	}
}
