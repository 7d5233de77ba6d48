// Package alicloudkms stands in for the auto-unseal wrapper of that name, which this program never uses; it spares that cloud's SDK.
package alicloudkms

import (
	"context"
	"errors"

	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
)

const (
	EnvVaultAliCloudKmsSealKeyId = "UNUSED_ALICLOUDKMS_0"
	EnvAliCloudKmsWrapperKeyId   = "UNUSED_ALICLOUDKMS_1"
)

type Wrapper struct{ wrapping.Wrapper }

func NewWrapper() *Wrapper { return &Wrapper{} }

func (*Wrapper) SetConfig(context.Context, ...wrapping.Option) (*wrapping.WrapperConfig, error) {
	return nil, errors.New("alicloudkms auto-unseal is left out of this program")
}
