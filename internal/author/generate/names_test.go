package generate

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

func TestGoNamesFollowTheRulesOfGo(t *testing.T) {
	for key, want := range map[string]string{
		"userId": "UserID", "user_id": "UserID", "user-id": "UserID", "id": "ID", "ID": "ID", "Id": "ID", "ids": "IDs", "userIds": "UserIDs",
		"userIDs": "UserIDs", "user_ids": "UserIDs", "url": "URL", "imageUrl": "ImageURL", "imageURL": "ImageURL", "urls": "URLs",
		"apiKey": "APIKey", "APIKey": "APIKey", "api_key": "APIKey", "apikey": "Apikey", "httpURL": "HTTPURL", "httpUrl": "HTTPURL",
		"https": "HTTPS", "JSONData": "JSONData", "json": "JSON", "ipAddress": "IPAddress", "uuid": "UUID", "htmlBody": "HTMLBody",
		"utf8Text": "UTF8Text", "oauth2Token": "Oauth2Token", "id2": "ID2", "addressLine2": "AddressLine2", "line_2": "Line2",
		"first_name": "FirstName", "firstName": "FirstName", "video": "Video", "idle": "Idle", "valid": "Valid", "tsx": "Tsx",
		"IDsOfUsers": "IDsOfUsers", "2fa": "F2fa", "_": "F", "größe": "Größe", "ärztId": "ÄrztID", "A": "A", "ABTest": "ABTest",
		"日本": "F日本", "ªb": "Fªb", "decode": "Decode",
	} {
		assert.Equal(t, want, goName(key), key)
	}
}

// TestFieldsAndMethodsHaveDifferentNames checks that a key that gives the name of the generated method is numbered.
func TestFieldsAndMethodsHaveDifferentNames(t *testing.T) {
	fields := fieldschema.Fields{{Key: "decode"}, {Key: "Decode"}, {Key: "decoded"}}
	for key, want := range map[string]string{"decode": "Decode2", "Decode": "Decode3", "decoded": "Decoded"} {
		assert.Equal(t, want, FieldName(fields, key), key)
	}
}
