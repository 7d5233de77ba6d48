// Package ocikms stands in for the auto-unseal wrapper of that name, which this program never uses; it spares that cloud's SDK.
package ocikms

import (
	"context"
	"errors"

	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
)

const (
	EnvOciKmsWrapperCryptoEndpoint       = "UNUSED_OCIKMS_0"
	EnvVaultOciKmsSealCryptoEndpoint     = "UNUSED_OCIKMS_1"
	EnvOciKmsWrapperKeyId                = "UNUSED_OCIKMS_2"
	EnvVaultOciKmsSealKeyId              = "UNUSED_OCIKMS_3"
	EnvOciKmsWrapperManagementEndpoint   = "UNUSED_OCIKMS_4"
	EnvVaultOciKmsSealManagementEndpoint = "UNUSED_OCIKMS_5"
	KmsConfigKeyId                       = "UNUSED_OCIKMS_6"
	KmsConfigCryptoEndpoint              = "UNUSED_OCIKMS_7"
	KmsConfigManagementEndpoint          = "UNUSED_OCIKMS_8"
)

type Wrapper struct{ wrapping.Wrapper }

func NewWrapper() *Wrapper { return &Wrapper{} }

func (*Wrapper) SetConfig(context.Context, ...wrapping.Option) (*wrapping.WrapperConfig, error) {
	return nil, errors.New("ocikms auto-unseal is left out of this program")
}
