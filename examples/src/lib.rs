//! Examples of HyperSDK.
