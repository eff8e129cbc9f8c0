package suite

import (
	"net/http"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// maxPages is the maximum number of pages of an audience in a sandbox.
const maxPages = 100

// checkMemberList checks that the sandbox lists a user who has entered an audience, and no longer after an exit, and that a remote which
// fails, or whose response has another form, leads to an error without secrets and not to an audience without members.
func checkMemberList(s *subject) {
	audiences := s.plugin.Complete(s.definition).Audiences
	if audiences == nil || audiences.List == nil {
		return
	}
	samples := s.samplesOf(audiences.Action)
	if len(samples) == 0 || audiences.Read == nil {
		return
	}
	sm := samples[0]
	a, change, ok := audiences.Read(sm.payload, func() destination.Membership { return destination.In })
	if !ok {
		return
	}
	s.checkListsMember(sm, audiences, a, change)
	for _, remote := range []http.RoundTripper{
		echoRemote(http.StatusUnauthorized), respondWith(http.StatusOK, `{}`), respondWith(http.StatusOK, `[]`), respondWith(http.StatusOK, `{"message":"no"}`),
	} {
		failing, err := s.newRig(sm, remote)
		if err != nil {
			s.addFinding(sm.action, "%v", err)
			return
		}
		users, err := failing.listMembers(s, a)
		if err == nil {
			s.addFinding(sm.action, "a response that has no members is taken for an audience without members: %v are listed", users)
			continue
		}
		s.checkNoSecret(sm.action, "the error of a list of members", err.Error())
	}
}

// checkListsMember adds a user to an audience of a sandbox, and removes the user.
func (s *subject) checkListsMember(sm sample, audiences *destination.Audiences, a destination.Audience, change destination.Change) {
	r, err := s.newRig(sm, nil)
	if err != nil {
		s.addFinding(sm.action, "%v", err)
		return
	}
	want, err := r.plan.ComparedIdentity(change.Identity)
	if err != nil {
		s.addFinding(sm.action, "the identity %s cannot be compared: %v", change.Identity, err)
		return
	}
	for i, member := range []bool{true, false} {
		change.Member, change.At = member, change.At.Add(time.Duration(i)*time.Second)
		payload, err := audiences.Payload(a, change)
		if err != nil {
			s.addFinding(sm.action, "%v", err)
			return
		}
		if v := r.deliverPayloads(s.baseContext(), event.Event{}, payload)[0]; v.Outcome != runtime.Delivered {
			s.addFinding(sm.action, "the sandbox does not take a change of %s: %s", change.Identity, v.Reason)
			return
		}
		users, err := r.listMembers(s, a)
		if err != nil {
			s.addFinding(sm.action, "the sandbox does not list the members of an audience: %v", err)
			return
		}
		switch listed := slices.Contains(users, want); {
		case member && !listed:
			s.addFinding(sm.action, "the sandbox lists %v after %s has entered", users, want)
		case !member && listed:
			s.addFinding(sm.action, "the sandbox still lists %s after the exit", want)
		}
	}
}

// listMembers returns the identities of all members in the form in which they are compared.
func (r *rig) listMembers(s *subject, a destination.Audience) (list []string, err error) {
	page := ""
	for range maxPages {
		page, err = r.plan.ListMembers(s.baseContext(), a, page, func(identities []string) error {
			for _, identity := range identities {
				form, err := r.plan.ComparedIdentity(identity)
				if err != nil {
					return err
				}
				list = append(list, form)
			}
			return nil
		})
		if err != nil || page == "" {
			return list, err
		}
	}
	s.addFinding("", "the members of an audience have more than %d pages", maxPages)
	return list, nil
}
